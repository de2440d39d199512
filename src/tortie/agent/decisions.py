"""Packets as they are decided: what an agent tells those who watch, and what they can ask for."""

from __future__ import annotations

import msgspec

from tortie.desired.policy import Direction

MONITOR = "/monitor"
"""Path on an agent's status socket: `?filter=` and a Filter in JSON; answers with a Report a line."""


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which packets; everything given must fit.

    Args:
        drops: only those that are denied.
        endpoint: `namespace/name` of a workload of the node that sends or receives it.
        source, destination: prefixes.
        protocol: IP protocol number.
        port: of either end.
        rate: most packets a second that are traced; for packets with a wrong source, and of the host, as many again.
    """

    drops: bool = False
    endpoint: str = ""
    source: str = ""
    destination: str = ""
    protocol: int | None = None
    port: int | None = None
    rate: int = 100


class Packet(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The addresses of a packet; ports where the protocol has them, else the ICMP type and code."""

    source: str
    destination: str
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class Decision(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of a packet at one place.

    Args:
        verdict: Allow or Deny.
        kind, namespace, name, rule: the rule that decided, as it was written; `rule` counts from 0.
        reason: when no written rule did: `end of tier default`, `no profile matched`, `unknown interface`, ….
        staged: what would have been decided if everything staged were enforced, where that was asked on the way.
    """

    verdict: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    direction: Direction | None = None
    rule: int | None = None
    reason: str = ""
    staged: str = ""


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the stream.

    Args:
        time: seconds since the epoch.
        interface: of the workload or host on whose behalf it was decided.
        endpoint: `namespace/name` of the workload.
        lost: the kernel or the watcher was too slow, and some packets are missing here; then there is no packet.
    """

    time: float
    interface: str = ""
    endpoint: str = ""
    packet: Packet | None = None
    decision: Decision | None = None
    lost: bool = False
