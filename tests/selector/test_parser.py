"""Texts to selectors and back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tortie.base.errors import TortieError
from tortie.selector import ast
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import MAX_DEPTH, Selector, parse

WORDS = st.sampled_from(
    (
        *("a", "in", "not", "has(", "all()", "global()", "has(x)"),
        *("==", "!=", "starts with", "endswith", "contains", "'v'", '"w"', "{", "}", ","),
        *("(", ")", "!", "&&", "||", " ", "\t", "\n", "&", "é", "\ud800"),
    )
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" \t ", "all()"),
        ("in in {'in'}", 'in in {"in"}'),
        ("has == 'x' && all == 'y'", '(has == "x" && all == "y")'),
        ("a notin {'x',}", 'a not in {"x"}'),
        ("a not\t in{'y','x'}", 'a not in {"x", "y"}'),
        ("a startswith'x'", 'a starts with "x"'),
        ("a == 'say \"hi\"'", "a == 'say \"hi\"'"),
        ("a == 'x\ny'", 'a == "x\ny"'),
        ("!!has(a)", "has(a)"),
        ("!(!has(a))", "has(a)"),
        ("!!!has( a )", "!has(a)"),
        ("!has(a) && has(b)", "(!has(a) && has(b))"),
        ("has(a) || has(b) && has(c)", "(has(a) || (has(b) && has(c)))"),
        ("(has(a) && has(b)) && has(c)", "((has(a) && has(b)) && has(c))"),
        ("((((a in {}))))", "a in {}"),
        ("0/.-_ != ''", '0/.-_ != ""'),
    ],
)
def test_a_text_has_one_canonical_form(text: str, canonical: str) -> None:
    assert parse(text).canonical == canonical


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("a", 1, "expected an operator after the label a"),
        ("a inside {'x'}", 2, "expected an operator after the label a"),
        ("a == 'x'\n&& has(b)", 8, "unexpected '\\n'"),
        ("has (x)", 4, "expected an operator after the label has"),
        ("a == x", 5, "expected a quoted value, found a label"),
        ("a = 'x'", 2, "expected an operator after the label a"),
        ("a in {'x' 'y'}", 10, "expected }, found a quoted value"),
        ("a in {,}", 6, "expected }, found ,"),
        ("()", 1, "expected a condition, found )"),
        ("(has(a)", 7, "expected ), found the end"),
        ("has(a))", 6, "expected the end, found )"),
        ("has(a) has(b)", 7, "expected the end, found has(label)"),
        ("has(a) & has(b)", 7, "expected &&"),
        ("a == 'x", 5, "a quoted value has no end"),
        ("a == '\ud800'", 6, "half a surrogate pair is not a character"),
        ("has(" + "a" * 513 + ")", 0, "a label is longer than 512 characters"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, position: int, problem: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        parse(text)
    assert (caught.value.text, caught.value.position, caught.value.problem) == (text, position, problem)
    assert isinstance(caught.value, TortieError)
    assert isinstance(caught.value, ValueError)


def test_a_message_shows_the_place_as_people_count_and_not_all_of_a_long_text() -> None:
    with pytest.raises(InvalidSelector, match=r"found the end, at character 8 of selector '\(has\(a\)'"):
        parse("(has(a)")
    with pytest.raises(InvalidSelector) as caught:
        parse("&" + "x" * 10_000)
    assert len(str(caught.value)) < 300


def _nested(depth: int) -> str:
    return "(has(a) && (has(b) || " * (depth // 2) + "has(c)" + "))" * (depth // 2)


DEEP = min(50_000, 1_000 * settings.default.max_examples)


def test_redundant_parentheses_and_negations_may_be_as_many_as_they_like() -> None:
    assert parse("(" * DEEP + "has(a)" + ")" * DEEP).canonical == "has(a)"
    assert parse("!(" * (DEEP + 1) + "has(a)" + ")" * (DEEP + 1)).canonical == "!has(a)"
    assert parse("!" * (DEEP + 1) + "has(a)").canonical == "!has(a)"


def test_groups_as_deep_as_allowed_can_be_read_judged_renamed_and_read_again() -> None:
    selector = parse(_nested(MAX_DEPTH))
    assert parse(selector.canonical) == selector
    assert selector.matches({"a": "", "c": ""})
    assert selector.prefixed("p.").restrictions().keys() == {"p.a"}


@pytest.mark.parametrize("text", [_nested(MAX_DEPTH + 2), _nested(DEEP), "(" * DEEP, "has(a) && !(" * 5000])
def test_hostile_nesting_is_an_error_and_not_a_crash(text: str) -> None:
    with pytest.raises(InvalidSelector):
        parse(text)


def test_long_flat_selectors_are_no_problem() -> None:
    text = " || ".join(f"a == '{number}'" for number in range(5000))
    assert parse(text).matches({"a": "4999"})


def test_selectors_of_one_meaning_in_text_are_equal_and_hash_alike() -> None:
    assert len({parse("a=='x'"), parse('(a == "x")'), parse("a != 'x'")}) == 2
    assert parse("has(a)") != "has(a)"
    assert str(parse("a=='x'")) == 'a == "x"'


def test_a_value_with_both_quotes_has_no_text() -> None:
    with pytest.raises(InvalidSelector, match="both kinds of quotes"):
        Selector.of(ast.Equal("a", "'\""))


@given(st.data())
def test_the_canonical_text_is_read_as_the_same_tree(nodes: st.SearchStrategy[ast.Node], data: st.DataObject) -> None:
    selector = Selector.of(data.draw(nodes))
    again = parse(selector.canonical)
    assert again.root == selector.root
    assert again.canonical == selector.canonical


@given(st.one_of(st.text(), st.lists(WORDS, max_size=20).map("".join)))
@example("a in{'x'}||!!(b notin{})")
def test_any_text_is_a_selector_or_an_invalid_one(text: str) -> None:
    try:
        selector = parse(text)
    except InvalidSelector as error:
        assert 0 <= error.position <= len(text)
        return
    assert parse(selector.canonical).canonical == selector.canonical
    selector.matches({"a": "v"})
    assert selector.unique_id.startswith("s:")
