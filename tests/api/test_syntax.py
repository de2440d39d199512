from __future__ import annotations

import pytest

from tortie.api.text import scan_values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tb: 1\n", "f:2:1: document: is indented with a tab (indent with spaces)"),
        (
            "a: b: c\n",
            "f:1:5: document: has a second ': ' on the line, or a wrong indentation (quote the value, or align it)",
        ),
        ("a: 'b\n", "f:1:4: document: a quote is never closed (end the text with the quote that it begins with)"),
        ("a: {b: c\n", "f:1:4: document: the map that begins here is not closed, or lacks a comma (end it with })"),
        ("a: [b, c\n", "f:1:4: document: the list that begins here is not closed, or lacks a comma (end it with ])"),
        ("a: @b\n", "f:1:4: document: a value cannot begin with @ (quote the value)"),
        ("a: && b\n", "f:1:5: document: a value cannot begin with & or * (quote the value)"),
        ("a: !has(foo)\n", 'f:1:4: document: !has(foo) without quotes is a tag (quote the value: "!has(foo)")'),
        ("a: ! has(foo)\n", 'f:1:4: document: ! before a text is not part of it (quote the value: "! has(foo)")'),
    ],
)
def test_what_is_not_yaml_is_told_in_words_of_who_writes_it(text: str, said: str) -> None:
    (problem,) = scan_values(text, "f").problems
    assert str(problem) == said
