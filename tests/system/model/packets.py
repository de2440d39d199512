"""Packets between everybody, and what becomes of each by the compiled form of policy."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tortie.base.addresses import Cidr
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import Packet, Verdict, evaluate
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Direction
from tortie.desired.state import DesiredState
from tortie.lab.probe.model import Probe, Transport

_NUMBERS = {Transport.TCP: 6, Transport.UDP: 17, Transport.SCTP: 132}
_ICMP = {4: (1, 8), 6: (58, 128)}


class Station(msgspec.Struct, frozen=True):
    """Who sends and receives. Whoever is no workload has no endpoint, and nobody judges what it does.

    Args:
        addresses: packets of a family come from the first of that family.
        host: where it is, empty outside the cluster.
    """

    name: str
    addresses: tuple[str, ...]
    host: str = ""
    endpoint: EndpointId = EndpointId("", "")

    def source(self, family: int) -> Cidr:
        """From where its packets come."""
        return next(one for one in map(Cidr.host, self.addresses) if one.family == family)


class Judge:
    """What all nodes together do to packets."""

    def __init__(self, states: Mapping[str, DesiredState]) -> None:
        self._states = states
        self._sets = {host: SetIndex(state.sets.values()) for host, state in states.items()}

    def verdicts(self, probe: Probe, source: Station, to: Station) -> list[str]:
        """Who denies the first packet, in words; empty when it arrives and can be answered."""
        packet = _packet(probe, source)
        ways = ((source, Direction.EGRESS, packet.source), (to, Direction.INGRESS, packet.destination))
        return [
            f"{one.name} {way.value}: {reason}"
            for one, way, address in ways
            if one.host and (reason := self._reason(one, way, packet, address))
        ]

    def _reason(self, one: Station, way: Direction, packet: Packet, address: int) -> str:
        state = self._states[one.host]
        endpoint = state.endpoints.get(one.endpoint)
        if endpoint is None:
            return "unknown"
        if not _owns(endpoint, packet.family, address):
            return "not its address"
        verdict = self._evaluate(one.host, endpoint, way, packet)
        return "" if verdict.action is Action.ALLOW else str(verdict.decided_by)

    def _evaluate(self, host: str, endpoint: Endpoint, way: Direction, packet: Packet) -> Verdict:
        policies = endpoint.egress if way is Direction.EGRESS else endpoint.ingress
        return evaluate(policies, way, packet, self._states[host].policies, self._sets[host])


def questions(
    stations: Sequence[Station], ports: Sequence[int], source_ports: Sequence[int], count: int, seed: int
) -> list[tuple[Probe, Station, Station]]:
    """Packets between random stations; none comes from a port that its sender has used."""
    chance = random.Random(seed)
    unused = {one.name: _shuffled(source_ports, chance) for one in stations}
    asked = []
    for _ in range(count):
        source, to = chance.sample(stations, 2)
        if source.host or to.host:
            transport = chance.choice((*Transport, Transport.TCP, Transport.UDP))
            number = 0 if transport is Transport.ICMP else next(unused[source.name])
            probe = Probe(source.name, chance.choice(to.addresses), transport, chance.choice(ports), number)
            asked.append((probe, source, to))
    return asked


def _shuffled(values: Sequence[int], chance: random.Random) -> Iterator[int]:
    return iter(chance.sample(values, len(values)))


def _owns(endpoint: Endpoint, family: int, address: int) -> bool:
    """What comes from an address that an endpoint does not have is dropped, answers too."""
    return any(one.family == family and one.address == address for one in endpoint.addresses)


def _packet(probe: Probe, source: Station) -> Packet:
    ends = probe.family, source.source(probe.family).address, Cidr.host(probe.address).address
    if probe.transport is Transport.ICMP:
        protocol, kind = _ICMP[probe.family]
        return Packet(ends[0], protocol, *ends[1:], icmp_type=kind, icmp_code=0)
    return Packet(ends[0], _NUMBERS[probe.transport], *ends[1:], probe.source_port, probe.port)
