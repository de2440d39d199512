"""Whom a change would lock out of hosts, or cut hosts off from: the compiled form, asked before and after. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tortie.analysis.cluster import KINDS
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.resource import Resource
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Crossing, Host, Surroundings
from tortie.calculation.graph import Calculation
from tortie.calculation.verdict import Packet
from tortie.desired.failsafes import Failsafes
from tortie.desired.hosts import WILDCARD, HostEndpointName
from tortie.desired.hosts import HostEndpoint as Guard
from tortie.desired.policy import Action
from tortie.desired.state import DesiredState

EVERYWHERE = "every node"
"""The name of the one node that has all host endpoints."""

_EPHEMERAL = 50_000
"""A source port that nobody speaks of."""


class Lifeline(msgspec.Struct, frozen=True):
    """A connection that a host should not lose.

    Args:
        node: whose.
        what: in words, such as `SSH from 192.0.2.9`.
        host, peer: the host's own address, and the other end.
        is_inbound: whether the other end begins.
        protocol, port: of the end that is connected to.
    """

    node: str
    what: str
    host: Cidr
    peer: Cidr
    is_inbound: bool
    protocol: int
    port: int

    @property
    def packet(self) -> Packet:
        """Its first."""
        source, destination = (self.peer, self.host) if self.is_inbound else (self.host, self.peer)
        return Packet(self.host.family, self.protocol, source.address, destination.address, _EPHEMERAL, self.port)


class Loss(msgspec.Struct, frozen=True):
    """A lifeline that a change cuts, and what decides so."""

    lifeline: Lifeline
    endpoint: str
    reason: str

    def __str__(self) -> str:
        return f"node {self.lifeline.node}: {self.lifeline.what} ({self.reason})"


FailsafesOf = Callable[[str], Failsafes]
"""The failsafe ports of a node."""


class Guarded:
    """All host endpoints of a cluster, and what governs them.

    Args:
        resources: everything that policy depends on; others are passed over.
        failsafes: of each node.
    """

    def __init__(self, resources: Iterable[Resource], failsafes: FailsafesOf) -> None:
        calculation = Calculation(EVERYWHERE)
        self._nodes: dict[HostEndpointName, str] = {}
        self._failsafes = failsafes
        for number, resource in enumerate(resources):
            if resource.kind not in KINDS:
                continue
            if isinstance(resource, HostEndpoint):
                self._nodes[HostEndpointName(resource.metadata.name)] = resource.spec.node
            calculation.update(resource.key, _moved(resource, number))
        calculation.set_in_sync()
        self._state = DesiredState()
        self._state.apply(calculation.flush())

    def denial(self, lifeline: Lifeline) -> tuple[str, str] | None:
        """Which host endpoint of the node denies it, and why; None if none does."""
        for name, guard in sorted(self._state.host_endpoints.items()):
            if self._nodes.get(name) == lifeline.node and _may_carry(guard, lifeline.host):
                reason = self._denied(guard, lifeline)
                if reason:
                    return str(name), reason
        return None

    def _denied(self, guard: Guard, lifeline: Lifeline) -> str:
        interface = "any" if guard.interface == WILDCARD else guard.interface or "by-address"
        alone = msgspec.structs.replace(self._state, host_endpoints={guard.name: guard})
        surroundings = Surroundings(
            addresses={interface: (lifeline.host,)}, failsafes=self._failsafes(lifeline.node), prefixes=("cali",)
        )
        incoming, outgoing = (interface, "") if lifeline.is_inbound else ("", interface)
        passage = Host(alone, surroundings).judge(Crossing(lifeline.packet, incoming, outgoing))
        return str(passage.stops[-1]) if passage.action is Action.DENY else ""


def losses(before: Guarded, after: Guarded, lifelines: Sequence[Lifeline]) -> list[Loss]:
    """Which lifelines are let through before, and not after."""
    found = []
    for lifeline in lifelines:
        denied = after.denial(lifeline)
        if denied is not None and before.denial(lifeline) is None:
            found.append(Loss(lifeline, *denied))
    return found


def mesh(addresses: Mapping[str, Sequence[Cidr]], port: int, what: str) -> list[Lifeline]:
    """Connections over TCP between all nodes, both ways; each node is asked about as many as there are others."""
    return [
        Lifeline(node, f"{what} {'from' if inbound else 'to'} {other}", own, peer, inbound, 6, port)
        for node, held in addresses.items()
        for other, others in addresses.items()
        if node != other
        for own in held
        for peer in others
        if own.family == peer.family
        for inbound in (True, False)
    ]


def _may_carry(guard: Guard, address: Cidr) -> bool:
    """Which interface leads where is not known from afar: one that is named may be any."""
    return bool(guard.interface) or address in guard.expected


def _moved(resource: Resource, number: int) -> Resource:
    replace = msgspec.structs.replace
    if isinstance(resource, HostEndpoint):
        return replace(resource, spec=replace(resource.spec, node=EVERYWHERE))
    if isinstance(resource, WorkloadEndpoint) and resource.spec.interface_name:
        return replace(resource, spec=replace(resource.spec, interface_name=f"cali{number}"))
    return resource
