"""YAML and JSON are read as plain data, and hostile text gives errors with a place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.text import DEEPEST, MOST_BROKEN, read_values, scan_values
from tortie.base.errors import InvalidResource, Problem


def plain(text: str) -> Any:
    (value,) = read_values(f"v: {text}")
    return value.plain["v"]


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidResource) as caught:
        read_values(text, "f.yaml")
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", "017"),
        ("1_000", "1_000"),
        ("20:25", "20:25"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("NO", False),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'NO'", "NO"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ('!!int "1"', 1),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("[1, a]", [1, "a"]),
        ("{}", {}),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_are_read_without_surprises(text: str, value: Any) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_the_spelling_of_what_is_not_text_is_kept() -> None:
    (value,) = read_values("a: NO\nb: 1.10\nc: 'x'")
    assert [value.place.parts[key].written for key in "abc"] == ["NO", "1.10", ""]


def test_places_are_those_of_keys_and_items() -> None:
    (value,) = read_values("a:\n  - b: 1\n    c: 2\n")
    item = value.place.parts["a"].parts[0]
    assert [(place.line, place.column) for place in (item, item.parts["c"])] == [(2, 5), (3, 5)]


def test_json_with_tabs_is_read() -> None:
    assert read_values('{\n\t"a": ["\\/", 1]\n}')[0].plain == {"a": ["/", 1]}


def test_surrogate_pairs_of_json_are_one_character() -> None:
    text = '{"a": "\\ud83d\\ude00\\uD834\\uDD1E", "b": "\\\\ud83d\\\\ude00"}'
    assert read_values(text)[0].plain == {"a": "😀𝄞", "b": "\\ud83d\\ude00"}


def test_aliases_and_merges_give_plain_values() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\nd: *a\ne: {'<<': 1}"
    assert read_values(text)[0].plain == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2, "z": 4},
        "d": {"x": 1, "y": 2},
        "e": {"<<": 1},
    }


def test_empty_documents_are_left_out() -> None:
    assert [value.plain for value in read_values("---\n---\na: 1\n---\n# nothing\n")] == [{"a": 1}]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + step)}: &{chr(98 + step)} [{','.join([f'*{chr(97 + step)}'] * 9)}]\n" for step in range(9)
)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\na: 2", 2, 1, "given twice"),
        ("a: {b: 1, b: 1}", 1, 11, "given twice"),
        ("1: x", 1, 1, 'quote it: "1"'),
        ("x: 1\non: y", 2, 1, 'quote it: "on"'),
        ("? [a]\n: 1", 1, 3, "not a text"),
        ("a: !!python/object:os.system x", 1, 4, "unknown"),
        ("a: !x {}", 1, 4, "unknown"),
        ("a: &a [*a]", 1, 8, "no anchor"),
        ("a: *b", 1, 4, "no anchor"),
        ("<<: 1", 1, 1, "maps only"),
        (f"a: {'9' * 5000}", 1, 4, "too many digits"),
        (f"a: {'[' * 100_000}", 1, DEEPEST + 4, "too deeply"),
        ("{a: " * 50_000, 1, 4 * DEEPEST + 2, "too deeply"),
        (BOMB, 5, 4, "aliases"),
        ("a: [", 2, 1, ""),
        ("a:\n\t- b", 2, 1, ""),
        ("a: \x01", 0, 0, "control characters"),
        ("a: \ud800", 0, 0, "no text (write it in UTF-8)"),
    ],
)
def test_hostile_text_is_refused_with_its_place(text: str, line: int, column: int, words: str) -> None:
    problem = problems(text)[0]
    assert (problem.line, problem.column) == (line, column)
    assert words in str(problem)


def test_every_problem_is_found_at_once() -> None:
    assert [problem.line for problem in problems("a: 1\na: 2\n1: x\nb: !x y\n")] == [2, 3, 4]


PIECES = st.sampled_from(
    [*"{}[]:,-&*!|>'\"#%@`? \n\t~<", "a", "1", "- ", ": ", "&a ", "*a", "<<: ", "---\n", "!!int ", "."]
)


@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_values(text)
    except InvalidResource:
        return


def test_a_document_that_is_not_yaml_hides_no_other() -> None:
    text = "a: 1\n---\nb: [x\n---\nc: 1\n--- a: b: c\n---\nd: *x\n---\ne: 2\n"
    found = scan_values(text, "f.yaml")
    assert [(value.plain, value.place.line) for value in found.values] == [({"a": 1}, 1), ({"c": 1}, 5), ({"e": 2}, 10)]
    assert [problem.line for problem in found.problems] == [3, 6, 8]
    assert found.broken == 3


def test_reading_ends_after_many_documents_that_are_not_yaml() -> None:
    assert len(scan_values("--- [\n" * 1000).problems) <= MOST_BROKEN


@given(
    st.text(st.characters(exclude_categories=["Cs"])) | st.text('\x7f\x80\x85\x9f\u2028\u2029\ufeff\ufffe\uffff\\/"\t ')
)
def test_every_text_in_json_is_read_as_json_means_it(text: str) -> None:
    for document in (
        json.dumps({"a": text, text or "b": 1}),
        json.dumps({"a": text, text or "b": 1}, ensure_ascii=False),
    ):
        (value,) = read_values(document)
        assert value.plain == json.loads(document)
