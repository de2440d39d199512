"""Everybody's reach at once: rows of a matrix of sets of packets, by arithmetic on numbers that stand for the sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tortie.analysis.packets import FAMILIES, PacketSet, Space
from tortie.analysis.reachability import Kind, Reachability
from tortie.desired.policy import Direction

Numbers = np.ndarray[tuple[int], np.dtype[np.int32]]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.int32]]

ABSENT = -1
"""Stands for ends that are not there."""

_SMALL = 1024
"""Numbers up to which results of operations are looked up in a table; beyond that the pairs that occur are sorted."""


class Catalogue:
    """Sets of packets by number; the empty set is 0."""

    def __init__(self, space: Space) -> None:
        self.sets: list[PacketSet] = [space.none]
        self._numbers: dict[PacketSet, int] = {space.none: 0}

    def number(self, packets: PacketSet) -> int:
        """The number of a set; equal sets have one."""
        found = self._numbers.setdefault(packets, len(self.sets))
        if found == len(self.sets):
            self.sets.append(packets)
        return found


class Operation:
    """A binary operation on numbers, worked out once for each pair."""

    def __init__(self, catalogue: Catalogue, of: Callable[[PacketSet, PacketSet], PacketSet]) -> None:
        self._catalogue = catalogue
        self._of = of
        self._table: Matrix = np.full((_SMALL, _SMALL), ABSENT, dtype=np.int32)
        self._more: dict[tuple[int, int], int] = {}

    def apply(self, left: Numbers, right: Numbers) -> Numbers:
        """Element by element."""
        if len(self._catalogue.sets) > _SMALL:
            return self._sorted(left, right)
        found: Numbers = self._table[left, right]
        missing = np.flatnonzero(found == ABSENT).tolist()
        if not missing:
            return found
        for place in missing:
            one, other = int(left[place]), int(right[place])
            if self._table[one, other] == ABSENT:
                self._table[one, other] = self._result(one, other)
        return self._table[left, right]

    def _sorted(self, left: Numbers, right: Numbers) -> Numbers:
        codes, inverse = np.unique(left.astype(np.int64) << 32 | right, return_inverse=True)
        results = [self._result(int(code) >> 32, int(code) & 0xFFFFFFFF) for code in codes.tolist()]
        return np.array(results, dtype=np.int32)[inverse]

    def _result(self, one: int, other: int) -> int:
        key = (one, other)
        if key not in self._more:
            sets = self._catalogue.sets
            self._more[key] = self._catalogue.number(self._of(sets[one], sets[other]))
        return self._more[key]


class Calculus:
    """What matrices of one space have in common."""

    def __init__(self, space: Space) -> None:
        self.catalogue = Catalogue(space)
        self.both = Operation(self.catalogue, lambda left, right: left & right)
        self.either = Operation(self.catalogue, lambda left, right: left | right)


class Rows:
    """The matrix of one cluster: who (row) reaches whom (column) with what.

    Args:
        kinds: of rows and columns; None for ends that are not there.
    """

    def __init__(self, reach: Reachability, kinds: Sequence[Kind | None], calculus: Calculus) -> None:
        self._reach = reach
        self._kinds = kinds
        self._calculus = calculus
        self._absent = np.array([kind is None for kind in kinds])
        self._only = None if reach.only == reach.space.all else calculus.catalogue.number(reach.only)
        self._classes = {family: self._slots(family) for family in FAMILIES}
        self._received = {
            family: [self._columns(family, each) for each in self._classes[family]] for family in FAMILIES
        }

    def row(self, index: int) -> Numbers:
        """The numbers of what gets from one to each; ABSENT where one of the two is not there."""
        kind = self._kinds[index]
        if kind is None:
            return np.full(len(self._kinds), ABSENT, dtype=np.int32)
        found: Numbers = np.zeros(len(self._kinds), dtype=np.int32)
        for family, own in kind.classes:
            sent = np.append(self._lets(kind.egress, Direction.EGRESS, family, own), np.int32(0))
            for classes, received in zip(self._classes[family], self._received[family], strict=True):
                part = self._calculus.both.apply(sent[classes], received[own])
                found = part if not found.any() else self._calculus.either.apply(found, part)
        if self._only is not None:
            found = self._calculus.both.apply(found, np.full(len(found), self._only, dtype=np.int32))
        return np.where(self._absent, np.int32(ABSENT), found)

    def _slots(self, family: int) -> list[Numbers]:
        """The class of each kind's first address, of its second, …; ABSENT for those that have none."""
        held = [[number for each, number in kind.classes if each == family] if kind else [] for kind in self._kinds]
        most = max(map(len, held), default=0)
        return [
            np.array([one[slot] if slot < len(one) else ABSENT for one in held], dtype=np.int32) for slot in range(most)
        ]

    def _columns(self, family: int, classes: Numbers) -> Matrix:
        """What each kind (column) lets in at one of its addresses, by the sender's class (row)."""
        found = np.zeros((len(self._kinds), len(self._reach.partitions[family])), dtype=np.int32)
        for index, (kind, own) in enumerate(zip(self._kinds, classes.tolist(), strict=True)):
            if kind is not None and own != ABSENT:
                found[index] = self._lets(kind.ingress, Direction.INGRESS, family, own)
        return np.ascontiguousarray(found.T)

    def _lets(self, number: int, way: Direction, family: int, own: int) -> Numbers:
        """What one direction of a list lets through, by the class of the other side."""
        groups = self._reach.peer_groups(number, way, family)
        by_class: Numbers = np.zeros(len(groups), dtype=np.int32)
        for peer in np.flatnonzero(groups == np.arange(len(groups))).tolist():
            by_class[peer] = self._calculus.catalogue.number(self._reach.lets(number, way, family, own, peer))
        return by_class[groups]
