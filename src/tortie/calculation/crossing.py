"""The way of one packet across a host: every place where policy judges it, of workloads and of the host's interfaces.

`tortie.calculation.verdict` judges one direction of one endpoint; this knows which of them a packet meets,
in order, and what a decision of one spares it at others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import ICMP_PROTOCOL, Packet, Step, evaluate, evaluate_tiers
from tortie.desired.endpoints import Endpoint
from tortie.desired.failsafes import DEFAULT_FAILSAFES, HOST_DISCOVERY, UDP, WORKLOAD_DISCOVERY, Failsafes, is_failsafe
from tortie.desired.hosts import HostEndpoint, Place, guardians
from tortie.desired.network import IPIP, NODES, VXLAN_PEERS, VXLAN_PORT
from tortie.desired.policy import Action, Direction, PolicyList, SetId
from tortie.desired.state import DesiredState


class Crossing(msgspec.Struct, frozen=True, gc=False):
    """The first packet of a flow on its way through this host.

    Args:
        packet: as it is after its destination was translated, if it was.
        incoming: interface that it arrives by; empty when a process of the host sends it.
        outgoing: interface that it leaves by; empty when it is for a process of the host.
        original: as it was before; None if nothing is translated.
        routed: of what a process of the host sends and what is translated: where it would leave by otherwise.
    """

    packet: Packet
    incoming: str = ""
    outgoing: str = ""
    original: Packet | None = None
    routed: str = ""


class Surroundings(msgspec.Struct, frozen=True):
    """What else decides.

    Args:
        addresses: of the host's own interfaces, of full length.
        prefixes: what names of workload interfaces begin with.
        external_nodes: who may send encapsulated packets besides the nodes of the cluster.
        reach_host: whether workloads may reach their host as far as their policy lets them.
    """

    addresses: Mapping[str, Collection[Cidr]] = {}
    failsafes: Failsafes = DEFAULT_FAILSAFES
    prefixes: tuple[str, ...] = ("cali",)
    external_nodes: tuple[Cidr, ...] = ()
    vxlan_port: int = VXLAN_PORT
    reach_host: bool = False


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Someone who judged the packet.

    Args:
        where: a place and its interface, or a workload and a direction, in words.
        action: PASS leaves it to those that come after.
        trace: what took effect; empty when it was no policy.
    """

    where: str
    action: Action
    trace: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {', '.join(map(str, self.trace)) or self.action.value}"


class Passage(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the packet (ALLOW or DENY), and everyone who judged it; the last of them denied it, if any."""

    action: Action
    stops: tuple[Stop, ...]


class Host:
    """A node that is asked about packets. Raises KeyError for a policy or set that is named but not there."""

    def __init__(self, state: DesiredState, surroundings: Surroundings | None = None) -> None:
        self._surroundings = surroundings or Surroundings()
        self._policies = state.policies
        self._sets = SetIndex(state.sets.values())
        self._tunnels = state.network.tunnels
        self._guards = guardians(state.host_endpoints.values(), self._surroundings.addresses)
        self._workloads: dict[str, Endpoint] = {}
        for endpoint in sorted(state.endpoints.values(), key=lambda one: one.id, reverse=True):
            if endpoint.active:
                self._workloads[endpoint.interface] = endpoint

    def judge(self, crossing: Crossing) -> Passage:
        """The fate of a packet that belongs to no established flow."""
        stops: list[Stop] = []
        for stop in self._stops(crossing):
            stops.append(stop)
            if stop.action is Action.DENY:
                return Passage(Action.DENY, tuple(stops))
        return Passage(Action.ALLOW, tuple(stops))

    def at(self, guard: HostEndpoint, place: Place, packet: Packet) -> Stop:
        """What one host endpoint makes of a packet at one place."""
        where = f"HostEndpoint {guard.name} {place.value}"
        policies, decides = guard.policies(place), place.decides
        if not place.is_forward and _is_spared(place, packet, self._surroundings.failsafes):
            return Stop(f"{where}, failsafe", Action.ALLOW if decides else Action.PASS)
        if decides:
            verdict = evaluate(policies, place.direction, packet, self._policies, self._sets)
            return Stop(where, verdict.action, verdict.trace)
        passage = evaluate_tiers(policies.tiers, place.direction, packet, self._policies, self._sets)
        return Stop(where, passage.action, passage.trace)

    def _stops(self, crossing: Crossing) -> Iterator[Stop]:
        if not crossing.incoming:
            yield from self._leave_home(crossing)
            return
        original = crossing.original or crossing.packet
        if self._is_workload(crossing.incoming):
            yield from self._source(crossing.incoming, original)
        stop = None
        for place in (Place.UNTRACKED_INGRESS, Place.PRE_DNAT):
            if stop is None or stop.action is not Action.ALLOW:
                stop = self._guarded(place, crossing.incoming, original)
                yield from [stop] if stop else []
        spared = stop is not None and stop.action is Action.ALLOW
        yield from self._forward(crossing, spared) if crossing.outgoing else self._come_home(crossing, spared)

    def _leave_home(self, crossing: Crossing) -> Iterator[Stop]:
        first = crossing.routed or crossing.outgoing
        packet = crossing.packet
        raw = self._guarded(Place.UNTRACKED_EGRESS, first, crossing.original or crossing.packet)
        yield from [raw] if raw else []
        spared = raw is not None and raw.action is Action.ALLOW
        spared = spared or self._is_of_node(packet, _destination_of(packet))
        if not (spared or self._is_workload(crossing.outgoing)):
            stop = self._guarded(Place.EGRESS, crossing.outgoing, crossing.packet)
            yield from [stop] if stop else []

    def _come_home(self, crossing: Crossing, spared: bool) -> Iterator[Stop]:
        tunnelled = self._peers(crossing.packet)
        if tunnelled is not None:
            spared = self._is_of_node(crossing.packet, _source_of(crossing.packet))
            yield Stop("tunnels of nodes", Action.ALLOW if spared else Action.DENY)
        if not self._is_workload(crossing.incoming):
            stop = None if spared else self._guarded(Place.INGRESS, crossing.incoming, crossing.packet)
            yield from [stop] if stop else []
        elif _is_discovery(crossing.packet, WORKLOAD_DISCOVERY):
            return
        elif not self._surroundings.reach_host:
            yield Stop("from workloads to their host", Action.DENY)
        else:
            yield self._workload(crossing.incoming, Direction.EGRESS, crossing.packet)

    def _forward(self, crossing: Crossing, spared: bool) -> Iterator[Stop]:
        inward = None if spared else self._guarded(Place.FORWARD_INGRESS, crossing.incoming, crossing.packet)
        yield from [inward] if inward else []
        for interface, way in ((crossing.incoming, Direction.EGRESS), (crossing.outgoing, Direction.INGRESS)):
            if self._is_workload(interface):
                yield self._workload(interface, way, crossing.packet)
        outward = self._guarded(Place.FORWARD_EGRESS, crossing.outgoing, crossing.packet)
        yield from [outward] if outward else []

    def _guarded(self, place: Place, interface: str, packet: Packet) -> Stop | None:
        guard = self._guards.of(interface)
        return None if guard is None else self.at(guard, place, packet)

    def _source(self, interface: str, packet: Packet) -> Iterator[Stop]:
        """A workload uses no address but its own."""
        endpoint = self._workloads.get(interface)
        if endpoint is None:
            yield Stop(f"unknown interface {interface}", Action.DENY)
        elif not any(one.contains(_source_of(packet)) for one in (*endpoint.addresses, *endpoint.allowed_sources)):
            yield Stop(f"{endpoint.id}: not its address", Action.DENY)

    def _workload(self, interface: str, way: Direction, packet: Packet) -> Stop:
        endpoint = self._workloads.get(interface)
        if endpoint is None:
            return Stop(f"unknown interface {interface}", Action.DENY)
        if way is Direction.EGRESS and (packet.protocol == IPIP or self._is_vxlan(packet)):
            return Stop(f"{endpoint.id}: no node, but makes a tunnel", Action.DENY)
        governing: PolicyList = endpoint.egress if way is Direction.EGRESS else endpoint.ingress
        verdict = evaluate(governing, way, packet, self._policies, self._sets)
        return Stop(f"{endpoint.id} {way.value}", verdict.action, verdict.trace)

    def _peers(self, packet: Packet) -> SetId | None:
        """Who may send this encapsulated packet; None if it is none that the cluster uses."""
        if self._tunnels.ipip and (packet.family, packet.protocol) == (4, IPIP):
            return NODES
        return VXLAN_PEERS if self._tunnels.vxlan and self._is_vxlan(packet) else None

    def _is_of_node(self, packet: Packet, peer: Cidr) -> bool:
        """Whether it is encapsulated, and its peer may be that."""
        allowed = self._peers(packet)
        if allowed is None or (allowed == VXLAN_PEERS and packet.family not in self._tunnels.vxlan):
            return False
        external = any(one.contains(peer) for one in self._surroundings.external_nodes)
        return external or self._sets.has_address(allowed, peer.family, peer.address)

    def _is_vxlan(self, packet: Packet) -> bool:
        return (packet.protocol, packet.destination_port) == (UDP, self._surroundings.vxlan_port)

    def _is_workload(self, interface: str) -> bool:
        return interface.startswith(self._surroundings.prefixes)


def _is_spared(place: Place, packet: Packet, failsafes: Failsafes) -> bool:
    """Whether host endpoints let this pass without asking policies; untracked, that goes for answers too."""
    peers = {Direction.INGRESS: _source_of(packet), Direction.EGRESS: _destination_of(packet)}
    own = {Direction.INGRESS: failsafes.inbound, Direction.EGRESS: failsafes.outbound}
    way = place.direction
    back = Direction.EGRESS if way is Direction.INGRESS else Direction.INGRESS
    return (
        _is_discovery(packet, HOST_DISCOVERY)
        or is_failsafe(own[way], packet.protocol, packet.destination_port, peers[way])
        or (place.is_untracked and is_failsafe(own[back], packet.protocol, packet.source_port, peers[way]))
    )


def _is_discovery(packet: Packet, types: tuple[int, ...]) -> bool:
    return packet.family == 6 and packet.protocol == ICMP_PROTOCOL[6] and packet.icmp_type in types


def _source_of(packet: Packet) -> Cidr:
    return Cidr(packet.family, packet.source, BITS[packet.family])


def _destination_of(packet: Packet) -> Cidr:
    return Cidr(packet.family, packet.destination, BITS[packet.family])
