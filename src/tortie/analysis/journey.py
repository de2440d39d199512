"""The way of a packet from host to host: who judges it at each, by which route it leaves, what is translated."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.analysis.nodes import SOMEWHERE, Nodes, View
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.crossing import Crossing, Passage, Stop
from tortie.calculation.verdict import Packet
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds, VtepId
from tortie.desired.network import NODES, of_family
from tortie.desired.policy import Action
from tortie.desired.wireguard import WireguardPeerId

DEVICES: Mapping[Encapsulation, Mapping[int, str]] = {
    Encapsulation.VXLAN: {4: "vxlan.calico", 6: "vxlan-v6.calico"},
    Encapsulation.IPIP: {4: "tunl0"},
}
"""Names of the devices of tunnels, by family."""

MOST_HOPS = 2


class Hop(msgspec.Struct, frozen=True):
    """What happens on one host.

    Args:
        stops: those who judged the packet there, the last of whom denied it, if any.
        notes: routes and translations, in words and in order.
    """

    node: str
    incoming: str
    outgoing: str
    stops: tuple[Stop, ...]
    notes: tuple[str, ...]

    @property
    def action(self) -> Action:
        """What becomes of the packet there."""
        return Action.DENY if self.stops and self.stops[-1].action is Action.DENY else Action.ALLOW


class Journey(msgspec.Struct, frozen=True):
    """The whole way, as far as it is known.

    Args:
        unknown: what is not known, and why.
    """

    hops: tuple[Hop, ...]
    unknown: tuple[str, ...] = ()

    @property
    def action(self) -> Action:
        """DENY when some host denies the packet."""
        return Action.DENY if any(hop.action is Action.DENY for hop in self.hops) else Action.ALLOW

    @property
    def stops(self) -> list[Stop]:
        """All who judged it."""
        return [stop for hop in self.hops for stop in hop.stops]


class Leg(msgspec.Struct, frozen=True):
    """Where the packet is.

    Args:
        incoming: the interface that it arrives by; empty when a process of the host sends it, None when unknown.
    """

    node: str
    incoming: str | None
    packet: Packet


class _Exit(msgspec.Struct, frozen=True):
    """How a packet leaves a host.

    Args:
        interface: None is one towards other hosts whose name is not known.
        node: who gets it next; empty when that is unknown, or nobody.
    """

    interface: str | None
    note: str
    node: str = ""
    device: str = ""
    is_lost: bool = False


def travel(nodes: Nodes, first: Leg) -> Journey:
    """Follow a packet until it arrives, is denied, or leaves what is known."""
    hops: list[Hop] = []
    unknown: list[str] = []
    leg: Leg | None = first
    while leg is not None and len(hops) < MOST_HOPS:
        hop, leg = _cross(nodes.view(leg.node), leg, unknown)
        hops.append(hop)
        if leg is not None and leg.node not in nodes.names:
            unknown.append(f"the addresses of node {leg.node}: there is no Node of this name")
    return Journey(tuple(hops), tuple(unknown))


def _cross(view: View, leg: Leg, unknown: list[str]) -> tuple[Hop, Leg | None]:
    packet, notes = _floating(view, leg.packet)
    way = _exit(view, packet)
    notes = [*notes, way.note]
    passage = _judged(view, leg, packet, way, unknown)
    incoming = _shown(leg.incoming, "a process of the host")
    hop = Hop(view.name, incoming, _shown(way.interface, "the host itself"), passage.stops, tuple(notes))
    if passage.action is Action.DENY or way.is_lost or not (way.node or way.interface is None):
        return hop, None
    sent, translation = _outgoing(view, leg, packet, way)
    hop = msgspec.structs.replace(hop, notes=(*notes, *translation))
    if not way.node:
        unknown.append("what becomes of it in the network outside of the cluster")
        return hop, None
    return hop, Leg(way.node, way.device or None, sent)


def _shown(interface: str | None, own: str) -> str:
    return SOMEWHERE if interface is None else interface or own


def _floating(view: View, packet: Packet) -> tuple[Packet, list[str]]:
    """With the destination that a floating address of this node stands for."""
    destination = _destination(packet)
    for one in view.state.network.floating:
        if one.external == destination:
            note = f"destination {one.external.text} becomes {one.internal.text} (floating address)"
            return msgspec.structs.replace(packet, destination=one.internal.address), [note]
    return packet, []


def _exit(view: View, packet: Packet) -> _Exit:
    destination = _destination(packet)
    workload = view.workload(destination)
    if workload is not None:
        return _Exit(workload.interface, f"to {workload.id} by {workload.interface}")
    if destination in view.addresses:
        return _Exit("", "to the host itself")
    route = view.route(destination)
    if route is None or route.kinds is Kinds.POOL:
        where = "is in a pool, but nobody of the cluster has it" if route else "is none of the cluster's"
        return _Exit(None, f"{destination.text} {where}: by the host's own routes")
    if route.node == view.name:
        note = f"{route.destination.text} is of this host, and nobody has {destination.text}: it is lost here"
        return _Exit(None, note, is_lost=True)
    return _remote(view, route, destination)


def _remote(view: View, route: ClusterRoute, destination: Cidr) -> _Exit:
    family = destination.family
    via = f" ({route.address.text})" if route.address else ""
    note = f"{_prefix(route.destination)} is at {route.node}{via}"
    encrypted = _encrypted(view, route, family)
    if encrypted:
        return _Exit(encrypted, f"{note}, encrypted by WireGuard ({encrypted})", route.node, encrypted)
    device = "" if route.same_subnet else DEVICES.get(route.encapsulation, {}).get(family, "")
    if not device:
        why = " (same subnet)" if route.same_subnet else ""
        return _Exit(None, f"{note}, without encapsulation{why}", route.node)
    return _Exit(device, f"{note}, in {_outer(view, route, family)} by {device}", route.node, device)


def _encrypted(view: View, route: ClusterRoute, family: int) -> str:
    """Name of the device of WireGuard that takes it, if one does."""
    settings = view.settings.wireguard.get(family)
    peer = view.state.wireguard_peers.get(WireguardPeerId(route.node, family))
    if settings is None or peer is None:
        return ""
    is_host = Kinds.REMOTE_HOST in route.kinds
    return settings.interface if settings.hosts or not is_host else ""


def _outer(view: View, route: ClusterRoute, family: int) -> str:
    own, peer = view.address(family), route.address
    if route.encapsulation is Encapsulation.VXLAN:
        ends = (view.state.vteps.get(VtepId(name, family)) for name in (view.name, route.node))
        own, peer = (None if end is None else end.parent for end in ends)
    said = " → ".join(one.text if one else "unknown" for one in (own, peer))
    name = "IP in IP" if route.encapsulation is Encapsulation.IPIP else f"VXLAN (UDP {view.settings.vxlan_port})"
    return f"{name} {said}"


def _judged(view: View, leg: Leg, packet: Packet, way: _Exit, unknown: list[str]) -> Passage:
    """By every interface that it can be; where they disagree, what is known alone counts."""
    original = leg.packet if leg.packet != packet else None
    found: dict[str, Passage] = {}
    for name in view.uplinks if None in (leg.incoming, way.interface) else ("",):
        incoming = name if leg.incoming is None else leg.incoming
        outgoing = name if way.interface is None else way.interface
        found[name] = view.host.judge(Crossing(packet, incoming, outgoing, original, routed=outgoing))
    passages = list(found.values())
    if len({one.action for one in passages}) > 1:
        fates = (f"{name} ({'denied' if one.action is Action.DENY else 'allowed'})" for name, one in found.items())
        unknown.append(f"by which interface of {view.name} it goes: {', '.join(fates)}")
        return next(one for one in passages if one.action is Action.ALLOW)
    return passages[0]


def _outgoing(view: View, leg: Leg, packet: Packet, way: _Exit) -> tuple[Packet, tuple[str, ...]]:
    """With the source that others see."""
    network, nat, family = view.state.network, view.settings.nat, packet.family
    source, destination = Cidr(family, packet.source, BITS[family]), _destination(packet)
    inside = any(one.contains(destination) for one in of_family(family, network.pools))
    if inside or not any(one.contains(source) for one in of_family(family, network.masqueraded)):
        return packet, ()
    nodes = view.state.sets.get(NODES)
    if nat.spares_hosts and nodes is not None and way.node:
        return packet, ("its source stays: what goes to nodes of the cluster is not translated",)
    if nat.interface:
        return packet, (f"its source is translated if it leaves by {nat.interface}: unknown",)
    own = next((one for one in nat.addresses if one.family == family), None) or view.address(family)
    if own is None:
        return packet, (f"source {source.text} becomes an address of the host, unknown which (outgoing translation)",)
    sent = msgspec.structs.replace(packet, source=own.address)
    return sent, (f"source {source.text} becomes {own.text} (outgoing translation)",)


def _destination(packet: Packet) -> Cidr:
    return Cidr(packet.family, packet.destination, BITS[packet.family])


def _prefix(net: Cidr) -> str:
    return net.text if net.is_host else str(net)
