"""Selectors as set algebra over the label index, and the labels by which a selector is found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyroaring import BitMap

from tortie.calculation.labels import LabelIndex
from tortie.selector.ast import All, And, Condition, Equal, Has, In, Node, Not, NotEqual, NotIn, Or
from tortie.selector.parser import Selector

Anchor = tuple[str, str | None]
"""A label and a value, or a label with any value (None)."""


def select(node: Node, index: LabelIndex, within: BitMap) -> BitMap:
    """The items among `within` that a selector's tree selects, as a bitmap of their own."""
    match node:
        case All():
            return within.copy()
        case And(operands):
            return _all_of(operands, index, within)
        case Or(operands):
            return BitMap.union(*(select(operand, index, within) for operand in operands))
        case Not(operand):
            return within - select(operand, index, within)
        case Condition():
            return _condition(node, index, within)
    raise TypeError(f"no such part of a selector: {type(node).__name__}")


def _all_of(operands: tuple[Node, ...], index: LabelIndex, within: BitMap) -> BitMap:
    left = within
    for operand in operands:
        if not left:
            break
        if not isinstance(operand, All):
            left = select(operand, index, left)
    return left.copy() if left is within else left


def anchors_of(selector: Selector, index: LabelIndex, crowd: Callable[[Anchor], int]) -> tuple[Anchor, ...] | None:
    """Labels, or values of one, of which everything selected has at least one: those that fewest items have now.

    None when nothing is known; an empty tuple when nothing can ever be selected.

    Args:
        crowd: how many selectors are found by an anchor already; of those that equally many items have, it decides.
    """
    choices: list[tuple[int, int, int, str, tuple[Anchor, ...]]] = []
    for label, known in selector.restrictions().items():
        if known.values is not None:
            anchors: tuple[Anchor, ...] = tuple((label, value) for value in sorted(known.values))
            holders = sum(map(index.values(label).count, known.values))
            choices.append((holders, sum(map(crowd, anchors)), len(anchors), label, anchors))
        elif known.present:
            # Any value may come, so a label wanted with a value is better at equal numbers.
            anchors = ((label, None),)
            choices.append((len(index.having(label)), crowd(anchors[0]), 1 << 30, label, anchors))
    return min(choices)[-1] if choices else None


def labels_of(node: Node) -> set[str]:
    """Every label that a selector's tree mentions."""
    return set(_labels(node))


def _labels(node: Node) -> Iterator[str]:
    match node:
        case Condition(label):
            yield label
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _labels(operand)
        case Not(operand):
            yield from _labels(operand)


def _condition(condition: Condition, index: LabelIndex, within: BitMap) -> BitMap:
    match condition:
        case Equal(label, value):
            return index.valued(label, value) & within
        case NotEqual(label, value):
            return within - index.valued(label, value)
        case In(label, values):
            return _any_of(index, label, values, within)
        case NotIn(label, values):
            return within - _any_of(index, label, values, within)
        case Has(label):
            return index.having(label) & within
    return _by_value(condition, index, within)


def _any_of(index: LabelIndex, label: str, values: frozenset[str], within: BitMap) -> BitMap:
    return BitMap.union(BitMap(), *(index.valued(label, value) & within for value in values))


def _by_value(condition: Condition, index: LabelIndex, within: BitMap) -> BitMap:
    """Ask the condition about every item or about every value of its label, whichever are fewer."""
    label, values = condition.label, index.values(condition.label)
    if len(within) < len(values):
        return BitMap([item for item in within if condition.accepts(index.labels(item).get(label))])
    accepted = [values.bitmap(value) & within for value in values if condition.accepts(value)]
    absent = within - index.having(label) if condition.accepts(None) else BitMap()
    return BitMap.union(absent, *accepted)
