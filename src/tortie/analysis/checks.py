"""What people state about a cluster, and whether it holds: a proof for all packets, or one packet against it."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence

import msgspec

from tortie.analysis.cluster import End
from tortie.analysis.packets import PacketSet
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.who import Service, find_party, names, read_service
from tortie.analysis.wording import describe, packet_text
from tortie.base.addresses import BITS, Cidr
from tortie.base.errors import InvalidResource
from tortie.desired.policy import Direction

OUTSIDE = "outside"
"""Stands for all addresses that are nobody's in the cluster."""

ANYBODY = "anybody"
"""Stands for all ends, and for outside."""


class Demand(enum.Enum):
    """What is stated of traffic."""

    ALWAYS = "always"
    """All of it gets through, between any two."""
    NEVER = "never"
    """None of it gets through."""
    ONLY = "only"
    """Nobody else's gets through."""


class Traffic(msgspec.Struct, frozen=True, rename={"source": "from"}, forbid_unknown_fields=True):
    """From whom to whom, and what.

    Args:
        source, to: as `who.find_party` takes it, `outside`, or `anybody`.
        port: as `who.read_service` takes it.
    """

    source: str
    to: str
    port: str | int = "any"

    def text(self) -> str:
        """As people would say it."""
        return f"{self.source} → {self.to} ({self.port})"


class Statement(msgspec.Struct, frozen=True):
    """Something that is to hold."""

    name: str
    demand: Demand
    traffic: Traffic


class Outcome(msgspec.Struct, frozen=True):
    """Whether a statement holds.

    Args:
        against: why not, in words; empty when it holds.
    """

    statement: Statement
    against: str = ""

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return not self.against


class _Group(msgspec.Struct, frozen=True):
    """Some who fare alike: ends, or addresses that are nobody's."""

    kind: Kind
    ends: tuple[End, ...]
    address: Cidr | None = None

    @property
    def name(self) -> str:
        return names(self.ends, 1) if self.ends else f"{self.address.text if self.address else ''} (outside)"


def check(reach: Reachability, statement: Statement, namespace: str = "default") -> Outcome:
    """Whether a statement holds in a cluster. What is about nobody does not hold: it may be a slip."""
    traffic = statement.traffic
    try:
        service = read_service(str(traffic.port))
        sources, destinations = (_groups(reach, text, namespace) for text in (traffic.source, traffic.to))
    except InvalidResource as error:
        return Outcome(statement, str(error))
    if statement.demand is Demand.ONLY:
        sources = _others(reach, sources)
    against = next(_against(reach, statement.demand, (sources, destinations), service), "")
    return Outcome(statement, against)


def _against(
    reach: Reachability, demand: Demand, groups: tuple[Sequence[_Group], Sequence[_Group]], service: Service
) -> Iterator[str]:
    wanted = service.packets(reach.space) & reach.only
    for source in groups[0]:
        for destination in groups[1]:
            if _is_itself(source, destination):
                continue
            through = reach.connection(source.kind, destination.kind) & wanted
            if demand is not Demand.ALWAYS:
                if through:
                    yield _got_through(reach, source, destination, through)
                continue
            common = {family for family, _ in source.kind.classes} & {family for family, _ in destination.kind.classes}
            if not common and source.ends and destination.ends:
                yield f"{source.name} → {destination.name}: they have no address family in common"
            for family in sorted(common):
                if missing := (wanted & reach.space.family(family)) - through:
                    yield _denied(reach, source, destination, missing)


def _is_itself(source: _Group, destination: _Group) -> bool:
    """Nobody is asked about traffic to itself, nor addresses outside about each other."""
    if not source.ends and not destination.ends:
        return True
    return len({end.key for end in (*source.ends, *destination.ends)}) == 1 and bool(source.ends and destination.ends)


def _got_through(reach: Reachability, source: _Group, destination: _Group, through: PacketSet) -> str:
    packet = through.example()
    what = packet_text(packet) if packet else "nothing"
    return f"{source.name} → {destination.name}: {what} gets through (of these: {describe(through)})"


def _denied(reach: Reachability, source: _Group, destination: _Group, missing: PacketSet) -> str:
    packet = missing.example()
    what = packet_text(packet) if packet else "nothing"
    ways = ((source.kind, Direction.EGRESS), (destination.kind, Direction.INGRESS))
    by = []
    for kind, way in ways:
        allowed = reach.deciding(source.kind, destination.kind, way, lambda step: step.action.value == "Allow")
        number = kind.egress if way is Direction.EGRESS else kind.ingress
        if packet is not None and number >= 0 and missing - allowed:
            by.append(way.value)
    return f"{source.name} → {destination.name}: {what} is denied by {' and '.join(by) or 'policy'}"


def _groups(reach: Reachability, text: str, namespace: str) -> list[_Group]:
    """Whom a text names, by kind. Raises InvalidResource."""
    inside = [_Group(kind, tuple(ends)) for kind, ends in reach.kinds().items()]
    if text == ANYBODY:
        return inside + _outside(reach)
    if text == OUTSIDE:
        return _outside(reach)
    party = find_party(reach.cluster, text, namespace)
    if party.address is not None:
        number = reach.partitions[party.address.family].class_of(party.address)
        return [_Group(reach.outside(party.address.family, number), (), party.address)]
    found: dict[Kind, list[End]] = {}
    for end in party.ends:
        found.setdefault(reach.kind(end), []).append(end)
    return [_Group(kind, tuple(ends)) for kind, ends in found.items()]


def _outside(reach: Reachability) -> list[_Group]:
    return [
        _Group(kind, (), Cidr(kind.classes[0][0], spans[0][0], BITS[kind.classes[0][0]]))
        for kind, spans in reach.elsewhere().items()
    ]


def _others(reach: Reachability, named: Sequence[_Group]) -> list[_Group]:
    """Everybody else."""
    known = {end.key for group in named for end in group.ends}
    outside = {group.kind for group in named if not group.ends}
    found = []
    for kind, ends in reach.kinds().items():
        if rest := tuple(end for end in ends if end.key not in known):
            found.append(_Group(kind, rest))
    return found + [group for group in _outside(reach) if group.kind not in outside]
