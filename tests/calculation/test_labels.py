"""The label index always equals what own and inherited labels imply, and touches only what changed."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.calculation.labels import LabelIndex

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)
PARENTS = st.lists(st.sampled_from("PQR"), max_size=3, unique=True).map(tuple)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), LABELS, PARENTS),
        st.tuples(st.just("remove"), st.integers(0, 5)),
        st.tuples(st.just("parent"), st.sampled_from("PQR"), st.one_of(st.none(), LABELS)),
    ),
    max_size=30,
)


def effective(
    own: Mapping[str, str], parents: tuple[str, ...], known: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Own labels win, then those of the first parent that has the label."""
    merged: dict[str, str] = {}
    for source in (own, *(known.get(parent, {}) for parent in parents)):
        for label, value in source.items():
            merged.setdefault(label, value)
    return merged


def put(index: LabelIndex, item: int, labels: Mapping[str, str], parents: tuple[str, ...] = ()) -> None:
    index.put(item, tuple(sorted(labels.items())), parents)


@given(STEPS)
@settings(max_examples=settings.default.max_examples * 4)
def test_the_bitmaps_hold_effective_labels_after_any_history(steps: list[tuple[object, ...]]) -> None:
    index = LabelIndex()
    items: dict[int, tuple[dict[str, str], tuple[str, ...]]] = {}
    known: dict[str, dict[str, str]] = {}
    for step in steps:
        match step:
            case ("put", int(item), dict(labels), tuple(parents)):
                items[item] = (labels, parents)
                put(index, item, labels, parents)
            case ("remove", int(item)) if items.pop(item, None) is not None:
                index.remove(item)
            case ("parent", str(parent), labels):
                known[parent] = labels or {}
                index.set_parent(parent, labels)
    expected = {item: effective(own, parents, known) for item, (own, parents) in items.items()}
    assert {item: index.labels(item) for item in index.items} == expected
    for label in "abc":
        assert set(index.having(label)) == {item for item, labels in expected.items() if label in labels}
        for value in "xyz":
            assert set(index.valued(label, value)) == {
                item for item, labels in expected.items() if labels.get(label) == value
            }
    for item in list(items):
        index.remove(item)
    assert index.is_empty()


def test_a_parent_change_concerns_only_those_that_inherit() -> None:
    index = LabelIndex()
    for item in range(10_000):
        put(index, item, {"own": "1"} if item % 2 else {}, (f"ns{item % 100}",))
    index.take_changes()
    touched = index.touched
    index.set_parent("ns7", {"own": "2", "other": "3"})
    changes = index.take_changes()
    assert set(changes.items) == set(range(7, 10_000, 100))
    assert changes.names == {"other"}
    assert set(index.having("other")) == set(range(7, 10_000, 100))
    assert not index.valued("own", "2"), "all of them carry the label themselves"
    assert index.touched == touched


def test_changes_are_told_once_with_old_and_new_labels() -> None:
    index = LabelIndex()
    put(index, 1, {"a": "x"})
    index.take_changes()
    put(index, 1, {"a": "y"})
    changes = index.take_changes()
    assert changes.pairs == {("a", "x"), ("a", "y")}
    assert set(changes.items) == {1}
    assert not index.take_changes().items


def test_equal_labels_and_parents_are_held_once() -> None:
    index = LabelIndex()
    for item in range(100):
        put(index, item, {"app": "".join(("we", "b")), "tier": str(item)}, ("".join(("name", "space")),))
    shapes = [index.shape(item) for item in index.items]
    assert len({id(shape.labels[0]) for shape in shapes if shape}) == 1
    assert len({id(shape.parents) for shape in shapes if shape}) == 1


def test_items_replaced_among_others_of_a_batch_are_indexed_as_they_are_last() -> None:
    index = LabelIndex()
    put(index, 1, {"a": "x"}, ("parent",))
    put(index, 2, {"a": "x"}, ("parent",))
    assert set(index.valued("a", "x")) == {1, 2}
    put(index, 1, {"a": "y"})
    put(index, 2, {"a": "y"})
    put(index, 2, {"a": "x"}, ("parent",))
    index.remove(1)
    put(index, 3, {"a": "x"}, ("parent",))
    assert (set(index.valued("a", "x")), set(index.having("a")), set(index.items)) == ({2, 3}, {2, 3}, {2, 3})
    index.remove(2)
    index.remove(3)
    assert index.is_empty()
