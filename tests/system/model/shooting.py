"""Which single packets are worth sending, and settings of hosts that make a difference to them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Mapping, Sequence

from model.contents import NETS4, NETS6, PORTS, SOURCE_PORTS, Dice
from model.packets import Judge, Judgement, Station
from model.shots import ICMP, OPENING, WITH_PORTS, WITHOUT, Shot

from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Surroundings
from tortie.calculation.verdict import Packet
from tortie.desired.failsafes import PROTOCOLS, Failsafe, Failsafes
from tortie.desired.network import VXLAN_PORT
from tortie.desired.settings import EndpointToHost, FilterSettings

_TRIED = 900
_SENT = 400
_PORTS = (*PORTS, 22, VXLAN_PORT)


def drawn_settings(dice: Dice) -> FilterSettings:
    """What an operator may have said of a host."""
    return FilterSettings(
        endpoint_to_host=dice.choice(tuple(EndpointToHost)),
        failsafes=Failsafes(dice.several(_failsafe, 12), dice.several(_failsafe, 12)),
    )


def surroundings(settings: FilterSettings, addresses: Mapping[str, Collection[Cidr]]) -> Surroundings:
    """The same for the judge."""
    return Surroundings(
        addresses, failsafes=settings.failsafes, reach_host=settings.endpoint_to_host is not EndpointToHost.DROP
    )


def shots(judge: Judge, stations: Sequence[Station], seed: int) -> dict[Shot, Judgement]:
    """Packets between random stations, of as many different fates as are found.

    Of those that have no ports only one way between two addresses: the other would pass as an answer.
    """
    chance = random.Random(seed)
    fates: dict[tuple[object, ...], dict[Shot, Judgement]] = {}
    for _ in range(_TRIED):
        shot = _shot(chance, stations)
        judgement = judge.judge_packet(shot.source, shot.to, shot.packet)
        fate = shot.packet.protocol, shot.packet.family, judgement.way
        fates.setdefault(fate, {})[shot] = judgement
    found: dict[Shot, Judgement] = {}
    for several in itertools.zip_longest(*(one.items() for one in fates.values())):
        for shot, judgement in filter(None, several):
            if len(found) < _SENT and _backwards(shot) not in found:
                found[shot] = judgement
    return found


def _failsafe(dice: Dice) -> Failsafe:
    net = dice.choice((None, None, *NETS4, *NETS6))
    return Failsafe(dice.choice(tuple(PROTOCOLS)), dice.choice(_PORTS), net and Cidr.parse(net))


def _shot(chance: random.Random, stations: Sequence[Station]) -> Shot:
    source, to = chance.sample(stations, 2)
    family = chance.choice((4, 6))
    ends = source.source(family).address, chance.choice(to.of_family(family)).address
    protocol = chance.choice((*WITH_PORTS, *WITH_PORTS, ICMP[family], *WITHOUT))
    if protocol in WITH_PORTS:
        ports = chance.choice(SOURCE_PORTS), chance.choice(_PORTS)
        return Shot(Packet(family, protocol, *ends, *ports), source, to)
    if protocol in WITHOUT:
        return Shot(Packet(family, protocol, *ends), source, to)
    kind, code = chance.choice(OPENING[family]), chance.choice((0, 0, 1))
    return Shot(Packet(family, protocol, *ends, icmp_type=kind, icmp_code=code), source, to)


def _backwards(shot: Shot) -> Shot | None:
    """The packet that would pass as an answer to this one."""
    one = shot.packet
    if one.protocol not in WITHOUT:
        return None
    return Shot(Packet(one.family, one.protocol, one.destination, one.source), shot.to, shot.source)
