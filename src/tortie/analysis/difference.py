"""What a change of policy means: which traffic it opens and closes between whom, and by which rules."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tortie.analysis.cluster import Cluster
from tortie.analysis.naming import common_name
from tortie.analysis.packets import PacketSet, Space
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.universe import Group, Pair, differing
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import Packet, Step, evaluate
from tortie.desired.policy import Direction


class Change(msgspec.Struct, frozen=True):
    """Traffic between two groups that fares differently.

    Args:
        source, destination: in words.
        opened, closed: the packets; those of ends that are new or gone count, too.
        reasons: what decides one of these packets now, and what did before.
        from_outside, to_outside: whether one of the two is addresses that are nobody's.
    """

    source: str
    destination: str
    opened: PacketSet
    closed: PacketSet
    reasons: tuple[str, ...]
    from_outside: bool = False
    to_outside: bool = False


def changes(before: Cluster, after: Cluster) -> list[Change]:
    """Every difference in what gets through."""
    space = Space()
    reaches = (Reachability(space, before), Reachability(space, after))
    return [change for pair in differing(reaches) if (change := _change(reaches, pair)) is not None]


def _change(reaches: tuple[Reachability, Reachability], pair: Pair) -> Change | None:
    old, new = (reaches[0].space.none if one is None else one for one in pair.packets)
    if old == new:
        return None
    reasons = dict.fromkeys(_reasons(reaches, pair, new - old)) | dict.fromkeys(_reasons(reaches, pair, old - new))
    return Change(
        _name(reaches, pair.source),
        _name(reaches, pair.destination),
        new - old,
        old - new,
        tuple(reasons),
        from_outside=pair.source.is_outside,
        to_outside=pair.destination.is_outside,
    )


def _name(reaches: tuple[Reachability, Reachability], group: Group) -> str:
    if group.is_outside:
        first, last = group.spans[0]
        more = f" and {len(group.spans) - 1} more ranges" if len(group.spans) > 1 else ""
        return f"outside {_range(group.family, first, last)}{more}"
    return common_name([reaches[0].cluster.ends.get(key) or reaches[1].cluster.ends[key] for key in group.ends])


def _range(family: int, first: int, last: int) -> str:
    low, high = (Cidr(family, one, BITS[family]).text for one in (first, last))
    return low if first == last else f"{low}-{high}"


def _reasons(reaches: tuple[Reachability, Reachability], pair: Pair, packets: PacketSet) -> Iterator[str]:
    """What decides one of the packets otherwise than before."""
    packet = packets.example()
    if packet is None:
        return
    for way, group in ((Direction.EGRESS, pair.source), (Direction.INGRESS, pair.destination)):
        old, new = (_step(reach, pair, way, packet, place) for place, reach in enumerate(reaches))
        if old != new and not group.is_outside:
            yield f"{way.value}: {new or 'not there'} (was: {old or 'not there'})"


def _step(reach: Reachability, pair: Pair, way: Direction, packet: Packet, place: int) -> Step | None:
    kinds = pair.source.kinds[place], pair.destination.kinds[place]
    number = _list_of(kinds, way)
    if number < 0 or kinds[0] is None or kinds[1] is None:
        return None
    source, destination = (_address(reach, kind, packet.family) for kind in kinds if kind is not None)
    if source is None or destination is None:
        return None
    sent = msgspec.structs.replace(packet, source=source.address, destination=destination.address)
    compiled = reach.cluster.compiled
    return evaluate(reach.governing(number), way, sent, compiled.policies, compiled.index).decided_by


def _list_of(kinds: tuple[Kind | None, Kind | None], way: Direction) -> int:
    kind = kinds[0] if way is Direction.EGRESS else kinds[1]
    return -1 if kind is None else kind.egress if way is Direction.EGRESS else kind.ingress


def _address(reach: Reachability, kind: Kind, family: int) -> Cidr | None:
    return next(
        (reach.partitions[each].representative(number) for each, number in kind.classes if each == family), None
    )
