"""Who reaches whom, by namespace, label or workload: for every two groups what gets through for all, and for some."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from tortie.analysis.cluster import End
from tortie.analysis.naming import common_name
from tortie.analysis.packets import FAMILIES, PacketSet
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.rows import Calculus, Numbers, Rows

OUTSIDE = "outside"
"""Name of the group of all addresses that are nobody's."""

WITHOUT = "(no {})"
"""Name of the group of ends that lack the label by which the others are grouped."""

Grouping = Callable[[Reachability], list[str]]
"""The name of the group of each end, in the order of the cluster's ends."""


class Cell(msgspec.Struct, frozen=True):
    """What gets from one group to another; within a group, between two of it.

    Args:
        every: between any two, of each family that the two have in common.
        some: between two at least.
        families: those that two of them have in common; none when there are no two.
    """

    every: PacketSet
    some: PacketSet
    families: tuple[int, ...]


class Matrix(msgspec.Struct, frozen=True):
    """A whole matrix.

    Args:
        names: of the groups, the outside last.
        sizes: how many ends each has; 0 of the outside.
        cells: rows of what one group sends to each.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    cells: tuple[tuple[Cell, ...], ...]


def by_namespace(reach: Reachability) -> list[str]:
    """Groups are namespaces; hosts are one group."""
    return [end.key.namespace or "hosts" for end in reach.cluster.ends.values()]


def by_workload(reach: Reachability) -> list[str]:
    """Everybody alone."""
    return [end.name for end in reach.cluster.ends.values()]


def by_class(reach: Reachability) -> list[str]:
    """Groups are ends that no policy tells apart; two that have one name are told apart by a number."""
    found: dict[int, str] = {}
    used: dict[str, int] = {}
    for ends in reach.kinds().values():
        name = common_name(ends)
        used[name] = used.get(name, 0) + 1
        found |= {id(end): name if used[name] == 1 else f"{name} #{used[name]}" for end in ends}
    return [found[id(end)] for end in reach.cluster.ends.values()]


def by_label(label: str) -> Grouping:
    """Groups are ends of one value of a label."""

    def name(end: End) -> str:
        value = end.labels.get(label)
        return WITHOUT.format(label) if value is None else f"{label}={value}"

    return lambda reach: [name(end) for end in reach.cluster.ends.values()]


class _Members(msgspec.Struct, frozen=True):
    """Which kinds are in which groups; each pair of both once.

    Args:
        kinds, groups: their numbers.
        single: whether there is one end only in both.
    """

    kinds: Numbers
    groups: Numbers
    single: np.ndarray[tuple[int], np.dtype[np.bool_]]


def matrix(reach: Reachability, grouping: Grouping) -> Matrix:
    """The matrix of a cluster, and the outside."""
    kinds, names, members, sizes = _grouped(reach, grouping)
    sums = _Sums(reach, kinds, members, len(names))
    cells = tuple(tuple(sums.row(place)) for place in range(len(names)))
    return Matrix(tuple(names), sizes, cells)


def _grouped(reach: Reachability, grouping: Grouping) -> tuple[list[Kind], list[str], _Members, tuple[int, ...]]:
    inside = reach.kinds()
    place_of = {id(end): place for place, ends in enumerate(inside.values()) for end in ends}
    named = list(zip(grouping(reach), reach.cluster.ends.values(), strict=True))
    names = [*sorted({name for name, _ in named}), OUTSIDE]
    number = {name: place for place, name in enumerate(names[:-1])}
    counts: dict[tuple[int, int], int] = {}
    sizes = [0] * len(names)
    for name, end in named:
        key = (place_of[id(end)], number[name])
        counts[key] = counts.get(key, 0) + 1
        sizes[number[name]] += 1
    kinds = [*inside, *reach.elsewhere()]
    pairs = [*counts, *((place, len(names) - 1) for place in range(len(inside), len(kinds)))]
    single = [one == 1 for one in counts.values()] + [False] * (len(pairs) - len(counts))
    columns = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return kinds, names, _Members(columns[0], columns[1], np.array(single, dtype=bool)), tuple(sizes)


class _Sums:
    """Adds up what gets from kinds to kinds for whole groups. Sets and families of pairs are numbered in one code."""

    def __init__(self, reach: Reachability, kinds: Sequence[Kind], members: _Members, groups: int) -> None:
        self._space = reach.space
        self._calculus = Calculus(reach.space)
        self._rows = Rows(reach, list(kinds), self._calculus)
        self._members = members
        self._groups = groups
        self._masks = np.array([_mask(kind) for kind in kinds], dtype=np.int64)
        self._cells: dict[frozenset[int], Cell] = {}

    def row(self, group: int) -> list[Cell]:
        """What a group sends to each."""
        met: list[set[int]] = [set() for _ in range(self._groups)]
        for place in np.flatnonzero(self._members.groups == group).tolist():
            for code in self._codes(place, group).tolist():
                met[code >> 40].add(code & (1 << 40) - 1)
        return [self._cell(frozenset(codes)) for codes in met]

    def _codes(self, place: int, group: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Group, families and set of all who are met by one kind, each combination once."""
        members = self._members
        kind = int(members.kinds[place])
        common = self._masks[members.kinds] & self._masks[kind]
        meets = common > 0
        if members.single[place]:
            meets[place] = False
        if group == self._groups - 1:
            meets &= members.groups != group
        sets = self._rows.row(kind)[members.kinds].astype(np.int64)
        codes = members.groups.astype(np.int64) << 40 | common << 36 | sets
        return np.unique(codes[meets])

    def _cell(self, codes: frozenset[int]) -> Cell:
        if codes not in self._cells:
            self._cells[codes] = self._sum(codes)
        return self._cells[codes]

    def _sum(self, codes: frozenset[int]) -> Cell:
        every, some, met = self._space.none, self._space.none, 0
        for place, family in enumerate(FAMILIES):
            ours = [code & (1 << 36) - 1 for code in codes if code >> 36 & 1 << place]
            if not ours:
                continue
            met |= 1 << place
            shared = self._space.family(family)
            for number in ours:
                some |= self._calculus.catalogue.sets[number]
                shared &= self._calculus.catalogue.sets[number]
            every |= shared
        return Cell(every, some, tuple(family for place, family in enumerate(FAMILIES) if met & 1 << place))


def _mask(kind: Kind) -> int:
    return sum(1 << FAMILIES.index(family) for family in {family for family, _ in kind.classes})
