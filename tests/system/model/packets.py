"""Packets between everybody, and what becomes of each by the compiled form of policy."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tortie.base.addresses import Cidr
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import Packet, Verdict, evaluate
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Direction
from tortie.desired.state import DesiredState
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
    """

    name: str
    addresses: tuple[str, ...]
    host: str = ""
    endpoint: EndpointId = EndpointId("", "")

    def source(self, family: int) -> Cidr:
        """From where its packets come."""
        return next(one for one in map(Cidr.host, self.addresses) if one.family == family)


class Question(msgspec.Struct, frozen=True):
    """A packet between two stations."""

    probe: Probe
    source: Station
    to: Station


class Judgement(msgspec.Struct, frozen=True):
    """What becomes of a packet at its sender and its receiver.

    Args:
        way: everything that took effect, in words.
        denials: who denies it, in words; empty when it arrives and can be answered.
    """

    way: str
    denials: tuple[str, ...]


Fate = tuple[Question, Judgement]


class Judge:
    """What all nodes together do to packets."""

    def __init__(self, states: Mapping[str, DesiredState]) -> None:
        self._states = states
        self._sets = {host: SetIndex(state.sets.values()) for host, state in states.items()}

    def judge(self, question: Question) -> Judgement:
        """The fate of the first packet."""
        packet = _packet(question.probe, question.source)
        ways: list[str] = []
        denials: list[str] = []
        for one, way, address in (
            (question.source, Direction.EGRESS, packet.source),
            (question.to, Direction.INGRESS, packet.destination),
        ):
            if one.host:
                action, steps = self._fate(one, way, packet, address)
                ways.append(steps)
                denials += [f"{one.name} {way.value}: {steps}"] if action is Action.DENY else []
        return Judgement(" / ".join(ways), tuple(denials))

    def _fate(self, one: Station, way: Direction, packet: Packet, address: int) -> tuple[Action, str]:
        endpoint = self._states[one.host].endpoints.get(one.endpoint)
        if endpoint is None:
            return Action.DENY, "unknown"
        if not _owns(endpoint, packet.family, address):
            return Action.DENY, "not its address"
        verdict = self._evaluate(one.host, endpoint, way, packet)
        return verdict.action, ", ".join(map(str, verdict.trace))

    def _evaluate(self, host: str, endpoint: Endpoint, way: Direction, packet: Packet) -> Verdict:
        policies = endpoint.egress if way is Direction.EGRESS else endpoint.ingress
        return evaluate(policies, way, packet, self._states[host].policies, self._sets[host])


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


def _owns(endpoint: Endpoint, family: int, address: int) -> bool:
    """What comes from an address that an endpoint does not have is dropped, answers too."""
    return any(one.family == family and one.address == address for one in endpoint.addresses)


def _packet(probe: Probe, source: Station) -> Packet:
    ends = probe.family, source.source(probe.family).address, Cidr.host(probe.address).address
    if probe.transport is Transport.ICMP:
        protocol, kind = _ICMP[probe.family]
        return Packet(ends[0], protocol, *ends[1:], icmp_type=kind, icmp_code=0)
    return Packet(ends[0], _NUMBERS[probe.transport], *ends[1:], probe.source_port, probe.port)
