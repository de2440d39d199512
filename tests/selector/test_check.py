"""Selectors in the validation of resources."""

from __future__ import annotations

from tortie.selector.check import selector_problem


def test_a_selector_has_no_problem_and_any_other_text_has_one_in_words() -> None:
    assert selector_problem("has(a)") is None
    assert selector_problem("a") == "expected an operator after the label a, at character 2 of selector 'a'"
