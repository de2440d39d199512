"""Set algebra over the label index agrees with asking a selector about every item."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.calculation.labels import LabelIndex
from tortie.calculation.matching import anchors_of, labels_of, select
from tortie.calculation.selections import Selections
from tortie.calculation.steps import finished
from tortie.selector.parser import parse

CONDITIONS = st.one_of(
    st.builds("{} {} '{}'".format, st.sampled_from("abc"), st.sampled_from(["==", "!="]), st.sampled_from("xyz")),
    st.builds(
        "{} {} '{}'".format,
        st.sampled_from("abc"),
        st.sampled_from(["contains", "starts with", "ends with"]),
        st.sampled_from(["", "x", "y"]),
    ),
    st.builds(
        "{} {} {{'{}', '{}'}}".format,
        st.sampled_from("abc"),
        st.sampled_from(["in", "not in"]),
        st.sampled_from("xyz"),
        st.sampled_from("xyz"),
    ),
    st.builds("{} in {{}}".format, st.sampled_from("abc")),
    st.builds("has({})".format, st.sampled_from("abc")),
    st.just("all()"),
)
SELECTORS = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {} || {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)
LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y", "z", "xy"]))
ITEMS = st.lists(LABELS, max_size=12)


def indexed(items: list[dict[str, str]]) -> LabelIndex:
    index = LabelIndex()
    for number, labels in enumerate(items):
        index.put(number, tuple(sorted(labels.items())), ())
    return index


@given(SELECTORS, ITEMS, st.sets(st.integers(0, 11)))
@settings(max_examples=settings.default.max_examples * 3)
def test_what_the_algebra_selects_is_what_matches(text: str, items: list[dict[str, str]], among: set[int]) -> None:
    index, selector = indexed(items), parse(text)
    matching = {number for number, labels in enumerate(items) if selector.matches(labels)}
    assert set(select(selector.root, index, index.items)) == matching
    within = index.items & type(index.items)(among)
    assert set(select(selector.root, index, within)) == matching & among


@given(SELECTORS, ITEMS)
@settings(max_examples=settings.default.max_examples * 2)
def test_everything_selected_has_one_of_the_anchors(text: str, items: list[dict[str, str]]) -> None:
    index, selector = indexed(items), parse(text)
    anchors = anchors_of(selector, index, lambda _: 0)
    for labels in items:
        if anchors is not None and selector.matches(labels):
            assert any(label in labels and value in (None, labels[label]) for label, value in anchors)


@given(st.lists(SELECTORS, min_size=1, max_size=4, unique=True), ITEMS, ITEMS)
@settings(max_examples=settings.default.max_examples * 2)
def test_refreshed_selections_are_those_of_a_fresh_start(
    texts: list[str], old: list[dict[str, str]], new: list[dict[str, str]]
) -> None:
    index = indexed(old)
    index.take_changes()
    universe = index.items
    selections = Selections(index, lambda _: universe)
    held = {text: selections.acquire(parse(text)) for text in texts}
    for number in range(max(len(old), len(new))):
        if number < len(new):
            index.put(number, tuple(sorted(new[number].items())), ())
        else:
            index.remove(number)
    finished(selections.refresh(index.take_changes()))
    for text, selection in held.items():
        assert set(selection.items) == {number for number, labels in enumerate(new) if parse(text).matches(labels)}
        selections.release(selection)
    assert not selections._anchored
    assert not selections._unanchored
    assert not selections._conditional


def test_a_selector_is_found_by_the_label_that_fewest_have() -> None:
    index = indexed([{"a": "x", "b": "rare" if number == 0 else "common"} for number in range(10)])
    assert anchors_of(parse("a == 'x' && b == 'rare'"), index, lambda _: 0) == (("b", "rare"),)
    assert anchors_of(parse("a == 'x' && b in {'rare', 'common'}"), index, lambda _: 0) == (("a", "x"),)
    assert anchors_of(parse("has(a) && c == 'none'"), index, lambda _: 0) == (("c", "none"),)
    assert anchors_of(parse("has(a)"), index, lambda _: 0) == (("a", None),)
    assert anchors_of(parse("a != 'x'"), index, lambda _: 0) is None
    assert anchors_of(parse("a in {}"), index, lambda _: 0) == ()


def test_all_labels_of_a_selector_are_known() -> None:
    assert labels_of(parse("!(a == 'x' || has(b)) && c in {'y'} && all()").root) == {"a", "b", "c"}
