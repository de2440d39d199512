"""One real packet through a lab, watched: its fate, the rules that traced and counted it, what conntrack holds."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from tortie.agent.client import ask_hits, monitor
from tortie.agent.decisions import Decision, Filter, Report
from tortie.base.addresses import Cidr
from tortie.base.errors import NotFound, Unavailable
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Outcome, Probe, Transport, Verdict
from tortie.netlink.conntrack import list_connections
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket

PROTOCOLS = {Transport.TCP: (6, 6), Transport.UDP: (17, 17), Transport.SCTP: (132, 132), Transport.ICMP: (1, 58)}
"""Protocol numbers of what can be sent, by family."""

_QUIET, _PATIENCE = 0.5, 10.0
"""Seconds without a trace after which none is expected any more, and that the first may take."""


class Traced(msgspec.Struct, frozen=True):
    """One decision in the kernel of one host."""

    host: str
    endpoint: str
    interface: str
    decision: Decision


class Live(msgspec.Struct, frozen=True):
    """What was seen of one packet.

    Args:
        traced: the first decision of each place.
        counted: rules that counted more packets than before, on any of the hosts; others may have sent them.
        connections: what conntrack holds of it, by host.
    """

    outcome: Outcome
    traced: tuple[Traced, ...]
    counted: tuple[str, ...]
    connections: tuple[str, ...]

    @property
    def got_through(self) -> bool | None:
        """Whether the other end had it: it answered, or refused; None when a refusal may be another's."""
        if self.outcome.verdict is Verdict.REFUSED:
            return True if self.outcome.reason in ("ECONNREFUSED", "abort") else None
        return self.outcome.verdict is Verdict.ALLOWED


def station(lab: Lab, address: str, node: str) -> str:
    """The place of a lab that has an address. Raises NotFound."""
    for name, one in lab.state().attachments.items():
        if address in one.addresses:
            return name
    for host in lab.topology.hosts:
        if host.name == node or address in host.addresses:
            return host.name
    raise NotFound(f"{address} in lab {lab.topology.name}")


def send(lab: Lab, probe: Probe, source: str, listener: str, hosts: Sequence[str]) -> Live:
    """Send a probe and watch it on the way.

    Args:
        source: the address that it is sent from.
        listener: the station that is to answer.
        hosts: where it is watched.

    Raises:
        Unavailable: an agent does not answer.
    """
    wanted = Filter(source=source, destination=probe.address, protocol=PROTOCOLS[probe.transport][probe.family == 6])
    watching = [_Watch(lab, host, wanted) for host in hosts]
    for one in watching:
        one.wait_begun()
    before, known = _counts(lab, hosts), set(_all_connections(lab, hosts, source, probe))
    prober = lab.prober
    if probe.transport is not Transport.ICMP:
        prober.listen(listener, probe.port)
    (outcome,) = prober.run([probe])
    traced = [found for one in watching for found in one.decisions()]
    connections = [one for one in _all_connections(lab, hosts, source, probe) if one not in known]
    counted = _counts(lab, hosts) - before
    return Live(
        outcome, tuple(traced), tuple(f"{rule}: {count}" for rule, count in counted.items()), tuple(connections)
    )


class _Watch:
    """Decisions on one host. The thread ends with the process, or with the agent."""

    def __init__(self, lab: Lab, host: str, wanted: Filter) -> None:
        self._host = host
        self._reports: queue.Queue[Report | Unavailable] = queue.Queue()
        self._stream = monitor(lab.place(host).directory, wanted)
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_begun(self) -> None:
        """Raises Unavailable."""
        first = self._reports.get(timeout=_PATIENCE)
        if isinstance(first, Unavailable):
            raise first

    def decisions(self) -> Iterator[Traced]:
        """The first of each place; what comes later is of packets that belong to a connection already."""
        met: set[tuple[str, str, object]] = set()
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                report = self._reports.get(timeout=_QUIET)
            except queue.Empty:
                return
            if isinstance(report, Unavailable) or report.decision is None:
                continue
            place = (report.endpoint, report.interface, report.decision.direction)
            if place not in met:
                met.add(place)
                yield Traced(self._host, report.endpoint, report.interface, report.decision)

    def _listen(self) -> None:
        try:
            for report in self._stream:
                self._reports.put(report)
        except Unavailable as error:
            self._reports.put(error)


def _counts(lab: Lab, hosts: Sequence[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for host in hosts:
        for policy in ask_hits(lab.place(host).directory).policies:
            whose = "/".join(filter(None, (policy.namespace, policy.name)))
            for rule in policy.rules:
                found[f"{host}: {policy.kind} {whose} {rule.direction.value}[{rule.index}]"] += rule.packets
    return found


def _all_connections(lab: Lab, hosts: Sequence[str], source: str, probe: Probe) -> list[str]:
    return [text for host in hosts for text in _connections(lab, host, source, probe)]


def _connections(lab: Lab, host: str, source: str, probe: Probe) -> Iterator[str]:
    ends = (Cidr.host(source), Cidr.host(probe.address))
    with inside(lab.namespace(host)), NetlinkSocket(NETLINK_NETFILTER) as socket:
        for one in list_connections(socket, probe.family):
            first = one.original
            if (first.source, first.destination) == ends and first.destination_port in (probe.port, 0):
                ports = f", {first.source_port} → {first.destination_port}" if first.destination_port else ""
                yield f"{host}: {source} → {probe.address}, protocol {first.protocol}{ports}"
