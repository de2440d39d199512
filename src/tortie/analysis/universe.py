"""Several clusters side by side: the same ends and addresses under different policies, and every pair of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from tortie.analysis.classes import Partition
from tortie.analysis.packets import FAMILIES, PacketSet
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.rows import Calculus, Rows
from tortie.api.resource import ResourceKey
from tortie.base.addresses import BITS, Cidr

Span = tuple[int, int]


class Group(msgspec.Struct, frozen=True):
    """Ends that no policy of any of the clusters tells apart, or addresses that are nobody's.

    Args:
        kinds: what each cluster knows of them; None where they are not there.
        ends: who they are.
        family, spans: which addresses, when they are nobody's.
    """

    kinds: tuple[Kind | None, ...]
    ends: tuple[ResourceKey, ...] = ()
    family: int = 0
    spans: tuple[Span, ...] = ()

    @property
    def is_outside(self) -> bool:
        """Whether they are addresses that are nobody's."""
        return not self.ends


class Pair(msgspec.Struct, frozen=True):
    """Two groups, and the packets that get from one to the other in each cluster; None where one of them is not."""

    source: Group
    destination: Group
    packets: tuple[PacketSet | None, ...]


def groups(reaches: Sequence[Reachability]) -> list[Group]:
    """All ends of all clusters, and all addresses that none of these has."""
    found: dict[tuple[Kind | None, ...], list[ResourceKey]] = {}
    keys = dict.fromkeys(key for reach in reaches for key in reach.cluster.ends)
    for key in keys:
        ends = [reach.cluster.ends.get(key) for reach in reaches]
        kinds = tuple(None if end is None else reach.kind(end) for end, reach in zip(ends, reaches, strict=True))
        found.setdefault(kinds, []).append(key)
    inside = [Group(kinds, tuple(ends)) for kinds, ends in found.items()]
    return inside + [one for family in FAMILIES for one in _outside(reaches, family)]


def pairs(reaches: Sequence[Reachability], among: Sequence[Group] | None = None) -> Iterator[Pair]:
    """Every two groups of which at least one is of ends, in both directions. Nobody is paired with itself."""
    among = groups(reaches) if among is None else among
    for source in among:
        for destination in among:
            alone = source is destination and len(source.ends) < 2
            if not alone and not (source.is_outside and destination.is_outside):
                yield Pair(source, destination, _packets(reaches, source, destination))


def differing(reaches: Sequence[Reachability]) -> Iterator[Pair]:
    """As `pairs`: those of two clusters between which not the same gets through, or that are not there in both."""
    among = groups(reaches)
    calculus = Calculus(reaches[0].space)
    old, new = (Rows(reach, [one.kinds[place] for one in among], calculus) for place, reach in enumerate(reaches))
    sets = calculus.catalogue.sets
    for place, source in enumerate(among):
        before, after = old.row(place), new.row(place)
        for index in np.flatnonzero(before != after).tolist():
            destination = among[index]
            alone = source is destination and len(source.ends) < 2
            if not alone and not (source.is_outside and destination.is_outside):
                found = tuple(None if one < 0 else sets[one] for one in (int(before[index]), int(after[index])))
                yield Pair(source, destination, found)


def _packets(reaches: Sequence[Reachability], source: Group, destination: Group) -> tuple[PacketSet | None, ...]:
    return tuple(
        None if sender is None or receiver is None else reach.connection(sender, receiver)
        for reach, sender, receiver in zip(reaches, source.kinds, destination.kinds, strict=True)
    )


def _outside(reaches: Sequence[Reachability], family: int) -> Iterator[Group]:
    partitions = [reach.partitions[family] for reach in reaches]
    starts = np.unique(np.concatenate([one.starts for one in partitions]))
    held = {one for reach in reaches for end in reach.cluster.ends.values() for one in end.addresses}
    found: dict[tuple[int, ...], list[Span]] = {}
    edges = [*_numbers(starts, family), 1 << BITS[family]]
    for index, first in enumerate(edges[:-1]):
        address = Cidr(family, first, BITS[family])
        if address not in held:
            classes = tuple(_class(one, starts, index) for one in partitions)
            found.setdefault(classes, []).append((first, edges[index + 1] - 1))
    for classes, spans in found.items():
        kinds = tuple(reach.outside(family, number) for reach, number in zip(reaches, classes, strict=True))
        yield Group(kinds, family=family, spans=tuple(spans))


def _class(partition: Partition, starts: np.ndarray[tuple[int], np.dtype[np.generic]], index: int) -> int:
    place = np.searchsorted(partition.starts, starts[index : index + 1], side="right")[0] - 1
    return int(partition.classes[place])


def _numbers(starts: np.ndarray[tuple[int], np.dtype[np.generic]], family: int) -> list[int]:
    width = BITS[family] // 8
    packed = starts.astype(">u4" if family == 4 else "S16").tobytes()
    return [int.from_bytes(packed[at : at + width], "big") for at in range(0, len(packed), width)]
