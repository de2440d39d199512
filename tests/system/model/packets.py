"""Packets between everybody, and what becomes of each by the compiled form of policy."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Crossing, Host, Surroundings
from tortie.calculation.verdict import Packet
from tortie.desired.endpoints import EndpointId
from tortie.desired.policy import Action
from tortie.desired.state import DesiredState
from tortie.lab.fabric import UPLINK
from tortie.lab.probe.model import Probe, Transport

_NUMBERS = {Transport.TCP: 6, Transport.UDP: 17, Transport.SCTP: 132}
_TRIED = 600
_ASKED = 120
_ICMP = {4: (1, 8), 6: (58, 128)}


class Station(msgspec.Struct, frozen=True):
    """Who sends and receives. Whoever is no workload has no endpoint, and nobody judges what it does.

    Args:
        addresses: packets of a family come from the first of that family.
        host: where it is, empty outside the cluster.
        interface: of its host, that leads to it; empty for the host itself.
    """

    name: str
    addresses: tuple[str, ...]
    host: str = ""
    endpoint: EndpointId = EndpointId("", "")
    interface: str = ""

    def of_family(self, family: int) -> list[Cidr]:
        """Its addresses of one family."""
        return [one for one in map(Cidr.host, self.addresses) if one.family == family]

    def source(self, family: int) -> Cidr:
        """From where its packets come."""
        return self.of_family(family)[0]


class Question(msgspec.Struct, frozen=True):
    """A packet between two stations."""

    probe: Probe
    source: Station
    to: Station


class Judgement(msgspec.Struct, frozen=True):
    """What becomes of a packet at the hosts of its sender and its receiver.

    Args:
        way: everything that took effect, in words.
        denials: who denies it, in words; empty when it arrives and can be answered.
    """

    way: str
    denials: tuple[str, ...]


Fate = tuple[Question, Judgement]


class Judge:
    """What all nodes together do to packets."""

    def __init__(
        self, states: Mapping[str, DesiredState], surroundings: Mapping[str, Surroundings] | None = None
    ) -> None:
        self._states = states
        around = surroundings or {}
        self._hosts = {host: Host(state, around.get(host)) for host, state in states.items()}

    def judge(self, question: Question) -> Judgement:
        """The fate of the first packet, and whether it can be answered."""
        packet = _packet(question.probe, question.source)
        ways, denials = self._pass(question.source, question.to, packet)
        if question.to.host and not self._owns(question.to, packet):
            ways.append("not its address")
            denials.append(f"{question.to.name}: not its address")
        return Judgement(" / ".join(ways), tuple(denials))

    def judge_packet(self, source: Station, to: Station, packet: Packet) -> Judgement:
        """The fate of a packet that need not be answered."""
        ways, denials = self._pass(source, to, packet)
        return Judgement(" / ".join(ways), tuple(denials))

    def _pass(self, source: Station, to: Station, packet: Packet) -> tuple[list[str], list[str]]:
        ways: list[str] = []
        denials: list[str] = []
        for host, crossing in _crossings(source, to, packet):
            passage = self._hosts[host].judge(crossing)
            ways.append(", ".join(map(str, passage.stops)))
            denials += [f"{host}: {ways[-1]}"] if passage.action is Action.DENY else []
        return ways, denials

    def _owns(self, to: Station, packet: Packet) -> bool:
        """What comes from an address that an endpoint does not have is dropped, answers too."""
        endpoint = self._states[to.host].endpoints.get(to.endpoint)
        destination = (packet.family, packet.destination)
        return endpoint is not None and destination in {(one.family, one.address) for one in endpoint.addresses}


def _crossings(source: Station, to: Station, packet: Packet) -> Iterator[tuple[str, Crossing]]:
    """The hosts that a packet crosses, and from where to where."""
    if source.host and source.host == to.host:
        yield source.host, Crossing(packet, source.interface, to.interface)
        return
    if source.host:
        yield source.host, Crossing(packet, source.interface, UPLINK)
    if to.host:
        yield to.host, Crossing(packet, UPLINK, to.interface)


def questions(
    judge: Judge, stations: Sequence[Station], ports: Sequence[int], source_ports: Sequence[int], seed: int
) -> dict[Question, Judgement]:
    """Packets between random stations, of as many different fates as are found; none has a sender's port twice."""
    chance = random.Random(seed)
    fates: dict[str, list[tuple[Question, Judgement]]] = {}
    for _ in range(_TRIED):
        question = _question(chance, stations, ports, source_ports)
        judgement = judge.judge(question)
        fates.setdefault(f"{question.probe.transport}{question.probe.family}{judgement.way}", []).append(
            (question, judgement)
        )
    found: dict[Question, Judgement] = {}
    used: set[tuple[str, int]] = set()
    for question, judgement in _in_turn(fates.values()):
        sender = question.probe.source, question.probe.source_port
        if len(found) < _ASKED and (sender not in used or question.probe.transport is Transport.ICMP):
            used.add(sender)
            found[question] = judgement
    return found


def _question(
    chance: random.Random, stations: Sequence[Station], ports: Sequence[int], source_ports: Sequence[int]
) -> Question:
    source, to = chance.sample(stations, 2)
    transport = chance.choice((*Transport, Transport.TCP, Transport.UDP))
    number = 0 if transport is Transport.ICMP else chance.choice(source_ports)
    return Question(
        Probe(source.name, chance.choice(to.addresses), transport, chance.choice(ports), number), source, to
    )


def _in_turn(groups: Iterable[Sequence[Fate]]) -> Iterator[Fate]:
    """One of each group, then a second one of each, and so on."""
    for several in itertools.zip_longest(*groups):
        yield from (one for one in several if one is not None)


def _packet(probe: Probe, source: Station) -> Packet:
    ends = probe.family, source.source(probe.family).address, Cidr.host(probe.address).address
    if probe.transport is Transport.ICMP:
        protocol, kind = _ICMP[probe.family]
        return Packet(ends[0], protocol, *ends[1:], icmp_type=kind, icmp_code=0)
    return Packet(ends[0], _NUMBERS[probe.transport], *ends[1:], probe.source_port, probe.port)
