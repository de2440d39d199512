"""Which single packets are worth sending."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Mapping, Sequence

from model.contents import SOURCE_PORTS
from model.datagrams import ICMP, OPENING, WITH_PORTS, WITHOUT, Dress
from model.furniture import GUARDED_PORTS
from model.packets import Judge, Judgement, Station
from model.shots import Shot

from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Surroundings
from tortie.calculation.verdict import Packet
from tortie.desired.settings import EndpointToHost, FilterSettings

_TRIED = 900
_SENT = 400
_DRESSES = (*[Dress.PLAIN] * 3, Dress.OPTIONS, Dress.PIECES)


def surroundings(settings: FilterSettings, addresses: Mapping[str, Collection[Cidr]]) -> Surroundings:
    """What settings and addresses of a host mean for the judge."""
    return Surroundings(
        addresses,
        failsafes=settings.failsafes,
        external_nodes=settings.external_nodes,
        reach_host=settings.endpoint_to_host is not EndpointToHost.DROP,
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
        fate = shot.packet.protocol, shot.packet.family, shot.dress, judgement.way
        fates.setdefault(fate, {})[shot] = judgement
    found: dict[Shot, Judgement] = {}
    sent: set[Packet] = set()
    for several in itertools.zip_longest(*(one.items() for one in fates.values())):
        for shot, judgement in filter(None, several):
            if len(found) < _SENT and _backwards(shot.packet) not in sent:
                found[shot] = judgement
                sent.add(shot.packet)
    return found


def _shot(chance: random.Random, stations: Sequence[Station]) -> Shot:
    source, to = chance.sample(stations, 2)
    return Shot(_packet(chance, source, to), source, to, chance.choice(_DRESSES))


def _packet(chance: random.Random, source: Station, to: Station) -> Packet:
    family = chance.choice((4, 6))
    ends = source.source(family).address, chance.choice(to.of_family(family)).address
    protocol = chance.choice((*WITH_PORTS, *WITH_PORTS, ICMP[family], *WITHOUT))
    if protocol in WITH_PORTS:
        return Packet(family, protocol, *ends, chance.choice(SOURCE_PORTS), chance.choice(GUARDED_PORTS))
    if protocol in WITHOUT:
        return Packet(family, protocol, *ends)
    kind, code = chance.choice(OPENING[family]), chance.choice((0, 0, 1))
    return Packet(family, protocol, *ends, icmp_type=kind, icmp_code=code)


def _backwards(one: Packet) -> Packet | None:
    """The packet that would pass as an answer to this one."""
    return Packet(one.family, one.protocol, one.destination, one.source) if one.protocol in WITHOUT else None
