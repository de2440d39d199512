"""Where the way of a packet between two ends begins, and which of their policies it meets."""

from __future__ import annotations

from tortie.analysis.cluster import End
from tortie.analysis.journey import Journey, Leg
from tortie.analysis.nodes import Nodes
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import Packet
from tortie.desired.policy import Direction

HOST = "HostEndpoint"
FAILSAFE = ", failsafe"


def start(nodes: Nodes, source: End | None, destination: End | None, packet: Packet) -> Leg | None:
    """The first host on the way and how the packet comes to it; None when no host is known.

    From outside a packet comes to the host of its destination, by an interface that is not known.
    """
    if source is not None:
        if not source.node:
            return None
        interface = ""
        if source.key.kind != HOST:
            address = Cidr(packet.family, packet.source, BITS[packet.family])
            workload = nodes.view(source.node).workload(address)
            if workload is None:
                return None
            interface = workload.interface
        return Leg(source.node, interface, packet)
    if destination is None or not destination.node:
        return None
    return Leg(destination.node, None, packet)


def is_asked(journey: Journey, end: End, way: Direction, ends: tuple[End | None, End | None]) -> bool:
    """Whether the policy of an end is asked about a packet on its way.

    Between a host and its own workloads, only what the workload sends is judged; failsafe ports are open whatever
    policy says.
    """
    first, second = ends
    if first is not None and second is not None and first.node == second.node:
        kinds = {first.key.kind, second.key.kind}
        if HOST in kinds and len(kinds) == 2:
            return way is Direction.EGRESS and end.key.kind != HOST
    if end.key.kind != HOST:
        return True
    ours = [stop.where for stop in journey.stops if stop.where.startswith(f"{HOST} {end.key.name} host-")]
    return not any(where.endswith(FAILSAFE) for where in ours)
