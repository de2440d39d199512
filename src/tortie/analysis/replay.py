"""What really happened, under other policy: flow records judged by two clusters, and which of them fare differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tortie.analysis.cluster import Cluster, End
from tortie.analysis.flowrecords import FlowRecord, Peer
from tortie.analysis.packets import PORT_PROTOCOLS
from tortie.base.addresses import Cidr
from tortie.calculation.verdict import ICMP_PROTOCOL, Packet, Step, evaluate
from tortie.desired.policy import Action, Direction

SOURCE_PORT = 40000
"""What is taken for the port that records do not have."""

ECHO_REQUEST = {4: 8, 6: 128}


class Fate(msgspec.Struct, frozen=True):
    """What becomes of a flow.

    Args:
        by: what decided, one of each direction that is governed.
    """

    action: Action
    by: tuple[str, ...]


class Replayed(msgspec.Struct, frozen=True):
    """A flow that fares differently.

    Args:
        count: connections of all records that are alike.
    """

    record: FlowRecord
    before: Fate
    after: Fate
    count: int

    @property
    def opens(self) -> bool:
        """Whether it was denied and is allowed now."""
        return self.after.action is Action.ALLOW


class Outcome(msgspec.Struct, frozen=True):
    """Everything that was replayed.

    Args:
        same: connections that fare as before.
        odd: connections that were recorded otherwise than the policy of before decides: it was another then.
        unknown: records that could not be replayed, and why, with how often.
    """

    changed: tuple[Replayed, ...]
    same: int
    odd: int
    unknown: dict[str, int]


Judged = tuple[Fate, Fate]


def replay(before: Cluster, after: Cluster, records: Iterable[FlowRecord]) -> Outcome:
    """Judge every record by both."""
    worlds = (_World(before), _World(after))
    alike: dict[FlowRecord, int] = {}
    for record in records:
        key = msgspec.structs.replace(record, count=1)
        alike[key] = alike.get(key, 0) + record.count
    changed: list[Replayed] = []
    same = odd = 0
    unknown: dict[str, int] = {}
    for record, count in alike.items():
        fates = _fates(worlds, record)
        if isinstance(fates, str):
            unknown[fates] = unknown.get(fates, 0) + count
            continue
        odd += count if record.action and record.action.lower() != fates[0].action.value.lower() else 0
        if fates[0].action is fates[1].action:
            same += count
        else:
            changed.append(Replayed(record, *fates, count))
    return Outcome(tuple(changed), same, odd, unknown)


class _World:
    """One cluster, and who is found how."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._by_address = {address: end for end in cluster.ends.values() for address in end.addresses}
        self._by_name: dict[tuple[str, str], End] = {}
        for end in cluster.ends.values():
            for name in {end.key.name, end.pod} - {""}:
                self._by_name.setdefault((end.key.namespace, name), end)

    def find(self, peer: Peer) -> End | None:
        """Who has the address; else whoever is called so, or the first who begins so: they are alike."""
        if peer.address and (found := self._by_address.get(Cidr.host(peer.address))):
            return found
        if peer.name.endswith("*"):
            start = peer.name[:-1]
            named = (end for (place, name), end in self._by_name.items() if place == peer.namespace and start)
            return next((end for end in named if _is_called(end, start)), None)
        return self._by_name.get((peer.namespace, peer.name))

    def judge(self, ends: tuple[End | None, End | None], packet: Packet) -> Fate:
        """By both directions."""
        steps = list(self._steps(ends, packet))
        denied = any(step.action is Action.DENY for _, step in steps)
        return Fate(Action.DENY if denied else Action.ALLOW, tuple(f"{way.value}: {step}" for way, step in steps))

    def _steps(self, ends: tuple[End | None, End | None], packet: Packet) -> Iterator[tuple[Direction, Step]]:
        compiled = self.cluster.compiled
        for end, way in zip(ends, (Direction.EGRESS, Direction.INGRESS), strict=True):
            if end is not None:
                verdict = evaluate(end.governing(way), way, packet, compiled.policies, compiled.index)
                yield way, verdict.decided_by


def _is_called(end: End, start: str) -> bool:
    return end.pod.startswith(start) or end.key.name.startswith(start)


def _fates(worlds: tuple[_World, _World], record: FlowRecord) -> Judged | str:
    fates = [_fate(world, record) for world in worlds]
    for one in fates:
        if isinstance(one, str):
            return one
    first, second = fates
    assert isinstance(first, Fate)
    assert isinstance(second, Fate)
    return first, second


def _fate(world: _World, record: FlowRecord) -> Fate | str:
    ends = (world.find(record.source), world.find(record.destination))
    for end, peer in zip(ends, (record.source, record.destination), strict=True):
        if end is None and not peer.address:
            return f"{peer.text} is not in the cluster, and the record has no address of it"
    if ends == (None, None):
        return "neither end is in the cluster"
    addresses = _addresses(ends, record)
    return _NO_FAMILY if addresses is None else world.judge(ends, _packet(record, *addresses))


_NO_FAMILY = "the ends have no address family in common"


def _addresses(ends: tuple[End | None, End | None], record: FlowRecord) -> tuple[Cidr, Cidr] | None:
    held = [
        (Cidr.host(peer.address),) if peer.address else end.addresses if end else ()
        for end, peer in zip(ends, (record.source, record.destination), strict=True)
    ]
    pairs = ((one, other) for one in held[0] for other in held[1] if one.family == other.family)
    return next(pairs, None)


def _packet(record: FlowRecord, source: Cidr, destination: Cidr) -> Packet:
    """As a first one of the flow."""
    family, has_ports = source.family, record.protocol in PORT_PROTOCOLS
    is_icmp = record.protocol in ICMP_PROTOCOL.values()
    return Packet(
        family=family,
        protocol=ICMP_PROTOCOL[family] if is_icmp else record.protocol,
        source=source.address,
        destination=destination.address,
        source_port=SOURCE_PORT if has_ports else None,
        destination_port=(record.port or 0) if has_ports else None,
        icmp_type=ECHO_REQUEST[family] if is_icmp else None,
        icmp_code=0 if is_icmp else None,
    )
