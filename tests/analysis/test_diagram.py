"""Interval decision diagrams: operations agree with functions of numbers, and equal functions are one object."""

from __future__ import annotations

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from tortie.analysis.diagram import Forest, Node, intervals_of, leaves, paths, value_at

SIZES = (3, 4, 3)
POINTS = list(product(*map(range, SIZES)))

Boxes = list[tuple[tuple[int, int], ...]]
BOX = st.tuples(*(st.tuples(*[st.integers(0, size - 1)] * 2).map(sorted).map(tuple) for size in SIZES))
BOXES = st.lists(BOX, max_size=4)


def inside(boxes: Boxes, point: tuple[int, ...]) -> bool:
    return any(all(first <= value <= last for (first, last), value in zip(box, point, strict=True)) for box in boxes)


def of_boxes(forest: Forest, boxes: Boxes) -> Node:
    found = forest.nothing
    for box in boxes:
        one = forest.everything
        for variable, span in reversed(list(enumerate(box))):
            one = forest.among(variable, [span], one)
        found = forest.either(found, one)
    return found


def holds(node: Node, point: tuple[int, ...]) -> bool:
    return value_at(node, dict(enumerate(point))) is True


@given(BOXES, BOXES, BOXES)
def test_operations_do_to_sets_what_they_do_to_truth(first: Boxes, second: Boxes, third: Boxes) -> None:
    forest = Forest(SIZES)
    a, b, c = (of_boxes(forest, boxes) for boxes in (first, second, third))
    for point in POINTS:
        x, y, z = (inside(boxes, point) for boxes in (first, second, third))
        assert holds(a, point) == x
        assert holds(forest.both(a, b), point) == (x and y)
        assert holds(forest.either(a, b), point) == (x or y)
        assert holds(forest.without(a, b), point) == (x and not y)
        assert holds(forest.opposite(a), point) != x
        assert holds(forest.where(a, b, c), point) == (y if x else z)


@given(BOXES, BOXES)
def test_functions_are_one_object_when_and_only_when_they_are_equal(first: Boxes, second: Boxes) -> None:
    forest = Forest(SIZES)
    same = all(inside(first, point) == inside(second, point) for point in POINTS)
    assert (of_boxes(forest, first) is of_boxes(forest, second)) == same


@given(BOXES, BOXES)
def test_values_are_combined_point_by_point(first: Boxes, second: Boxes) -> None:
    forest = Forest(SIZES)
    both = forest.combined((of_boxes(forest, first), of_boxes(forest, second)), lambda values: values)
    for point in POINTS:
        assert value_at(both, dict(enumerate(point))) == (inside(first, point), inside(second, point))
    assert leaves(both) == {(inside(first, point), inside(second, point)) for point in POINTS}


@given(BOXES)
def test_paths_cut_a_set_into_parts_that_do_not_overlap(boxes: Boxes) -> None:
    parts = [path for path, _ in paths(of_boxes(Forest(SIZES), boxes))]
    for point in POINTS:
        holding = [
            path
            for path in parts
            if all(
                first <= point[each] <= (SIZES[each] if last is None else last) for each, (first, last) in path.items()
            )
        ]
        assert len(holding) == inside(boxes, point)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)).map(lambda one: (one[0], sum(one)))))
def test_ranges_are_merged_into_intervals_apart(ranges: list[tuple[int, int]]) -> None:
    merged = intervals_of(ranges)
    assert {value for first, last in ranges for value in range(first, last + 1)} == {
        value for first, last in merged for value in range(first, last + 1)
    }
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(merged))
