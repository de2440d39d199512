"""`tortie test --live`: the statements of a file put to the kernels of a lab, by real packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import msgspec

from tortie.analysis.checks import ANYBODY, OUTSIDE, Demand, Outcome, Statement
from tortie.analysis.cluster import Cluster, End
from tortie.analysis.who import Service, find_party, read_service
from tortie.base.errors import InvalidResource, NotFound
from tortie.lab.lab import Lab
from tortie.lab.live import PROTOCOLS, station
from tortie.lab.probe.model import Outcome as Sent
from tortie.lab.probe.model import Probe, Transport, Verdict

MOST_PROBES = 500
"""Of one statement; more are no answer, but a wait."""

USUAL_PORT = 80
"""Where a statement is about any port."""

_TRANSPORTS = {number: transport for transport, numbers in PROTOCOLS.items() for number in numbers}


class Question(msgspec.Struct, frozen=True):
    """One packet, and whose it is."""

    source: End
    destination: End
    probe: Probe

    @property
    def text(self) -> str:
        """As people write it."""
        port = "" if self.probe.transport is Transport.ICMP else f" {self.probe.port}"
        return f"{self.source.name} → {self.destination.name}: {self.probe.transport.upper()}{port}"


def check_live(lab: Lab, cluster: Cluster, statement: Statement, namespace: str) -> Outcome:
    """Whether a statement holds for all packets that are sent for it."""
    try:
        questions = list(_questions(lab, cluster, statement, namespace))
    except (InvalidResource, NotFound) as error:
        return Outcome(statement, str(error))
    if not questions:
        return Outcome(statement, "there is nobody to send anything")
    if len(questions) > MOST_PROBES:
        return Outcome(statement, f"is about {len(questions)} packets, more than {MOST_PROBES}: name fewer")
    for one in questions:
        if one.probe.transport is not Transport.ICMP:
            lab.prober.listen(station(lab, one.probe.address, one.destination.node), one.probe.port)
    sent = lab.probe(*(one.probe for one in questions))
    against = (_against(statement.demand, one, each) for one, each in zip(questions, sent, strict=True))
    return Outcome(statement, next((text for text in against if text), ""))


def _against(demand: Demand, question: Question, sent: Sent) -> str:
    is_through = sent.verdict is Verdict.ALLOWED or sent.reason in ("ECONNREFUSED", "abort")
    if is_through == (demand is Demand.ALWAYS):
        return ""
    return f"{question.text} {'gets through' if is_through else 'does not get through'} in the lab"


def _questions(lab: Lab, cluster: Cluster, statement: Statement, namespace: str) -> Iterator[Question]:
    traffic = statement.traffic
    sources, destinations = (_ends(cluster, text, namespace) for text in (traffic.source, traffic.to))
    if statement.demand is Demand.ONLY:
        sources = [end for end in cluster.ends.values() if end not in sources]
    service = read_service(str(traffic.port))
    for source, destination in product(sources, destinations):
        for family in (4, 6):
            ends = [next((one for one in end.addresses if one.family == family), None) for end in (source, destination)]
            if source is destination or ends[0] is None or ends[1] is None:
                continue
            place = station(lab, ends[0].text, source.node)
            for transport in _transports(service):
                probe = Probe(place, ends[1].text, transport, service.port or USUAL_PORT)
                yield Question(source, destination, probe)


def _ends(cluster: Cluster, text: str, namespace: str) -> Sequence[End]:
    """Raises InvalidResource, NotFound: nobody of the lab."""
    if text == OUTSIDE:
        raise NotFound("an outside from which a lab could send: it")
    if text == ANYBODY:
        return list(cluster.ends.values())
    party = find_party(cluster, text, namespace)
    if party.address is not None:
        raise NotFound(f"{text} in the lab: it")
    return party.ends


def _transports(service: Service) -> Sequence[Transport]:
    """Raises NotFound: of a protocol that cannot be sent."""
    if service.protocol is None:
        return (Transport.TCP, Transport.UDP, Transport.ICMP)
    if service.protocol not in _TRANSPORTS:
        raise NotFound(f"a way to send protocol {service.protocol}: it")
    return (_TRANSPORTS[service.protocol],)
