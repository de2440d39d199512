"""What must hold for a label of anything that a selector selects: the key to finding selectors by label."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.selector.ast import And, Condition, Contains, EndsWith, Equal, Has, In, Node, Not, Or, StartsWith


class Restriction(msgspec.Struct, frozen=True, gc=False):
    """What is known of one label of everything that is selected.

    Args:
        present: the label is there.
        absent: the label is not there; with `present` nothing can be selected.
        values: the label has one of these values; None when nothing is known, empty when nothing can be selected.
    """

    present: bool = False
    absent: bool = False
    values: frozenset[str] | None = None


Restrictions = dict[str, Restriction]

_NOTHING = Restriction()


def restrictions_of(node: Node) -> Restrictions:
    """Restrictions by label; a label of which nothing is known is left out."""
    match node:
        case And(operands):
            return _all(map(restrictions_of, operands))
        case Or(operands):
            return _any(map(restrictions_of, operands))
        case Not(Has(label)):
            return {label: Restriction(absent=True)}
        case Condition(label):
            restriction = _of_condition(node)
            return {label: restriction} if restriction != _NOTHING else {}
    return {}


def _of_condition(condition: Condition) -> Restriction:
    match condition:
        case Equal(_, value):
            return Restriction(present=True, values=frozenset((value,)))
        case In(_, values):
            return Restriction(present=True, values=values)
        case Has() | Contains() | StartsWith() | EndsWith():
            return Restriction(present=True)
    return _NOTHING


def _all(parts: Iterable[Restrictions]) -> Restrictions:
    merged: Restrictions = {}
    for part in parts:
        for label, restriction in part.items():
            known = merged.get(label)
            merged[label] = restriction if known is None else _both(known, restriction)
    return merged


def _any(parts: Iterable[Restrictions]) -> Restrictions:
    first, *others = parts
    merged = first
    for other in others:
        merged = {label: _either(merged[label], other[label]) for label in merged if label in other}
    return {label: restriction for label, restriction in merged.items() if restriction != _NOTHING}


def _both(one: Restriction, other: Restriction) -> Restriction:
    known = [values for values in (one.values, other.values) if values is not None]
    return Restriction(
        present=one.present or other.present,
        absent=one.absent or other.absent,
        values=frozenset.intersection(*known) if known else None,
    )


def _either(one: Restriction, other: Restriction) -> Restriction:
    return Restriction(
        present=one.present and other.present,
        absent=one.absent and other.absent,
        values=None if one.values is None or other.values is None else one.values | other.values,
    )
