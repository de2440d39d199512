"""Why one end reaches another, or does not: both directions, rule by rule, and what would turn the verdict."""

from __future__ import annotations

import msgspec

from tortie.analysis.cluster import Cluster, End
from tortie.analysis.departure import is_asked, start
from tortie.analysis.journey import Journey, travel
from tortie.analysis.nodes import Nodes
from tortie.analysis.packets import Field, PacketSet, packet_in
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.remedies import remedies
from tortie.analysis.walk import Peers, Walk, walk
from tortie.analysis.who import Party, Service
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import Packet
from tortie.desired.policy import Action, Direction


class Judged(msgspec.Struct, frozen=True):
    """One direction, and what would turn its verdict."""

    walk: Walk
    remedies: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """What becomes of packets between two parties.

    Args:
        source, destination: one of each party; None of an address that is nobody's.
        allowed: everything that gets through between these two.
        packet: the one that is explained.
        directions: of those ends that policy governs, as the packet meets them.
        unknown: what is not known here, and why.
        journey: from host to host; None where nothing is known of hosts.
    """

    source: End | None
    destination: End | None
    addresses: tuple[Cidr, Cidr]
    allowed: PacketSet
    packet: Packet
    directions: tuple[Judged, ...]
    unknown: tuple[str, ...] = ()
    journey: Journey | None = None

    @property
    def verdict(self) -> Action:
        """Of the packet that is explained."""
        denied = any(one.walk.verdict.action is Action.DENY for one in self.directions)
        denied = denied or (self.journey is not None and self.journey.action is Action.DENY)
        return Action.DENY if denied else Action.ALLOW


Pair = tuple[End | None, End | None, Cidr, Cidr]


def explain(
    reach: Reachability, source: Party, destination: Party, service: Service, nodes: Nodes | None = None
) -> list[Explanation]:
    """One explanation for each pair that fares differently from the others.

    Args:
        nodes: where they are, if the way from host to host shall be told.
    """
    found: dict[tuple[object, ...], Explanation] = {}
    for pair in _pairs(source, destination):
        kinds = tuple(_kind(reach, end, address) for end, address in zip(pair[:2], pair[2:], strict=True))
        places = tuple("" if end is None else end.node for end in pair[:2]) if nodes else ()
        if (key := (*kinds, pair[2].family, *places)) not in found:
            found[key] = _explain(Asked(reach, service, nodes), pair, (kinds[0], kinds[1]))
    return list(found.values())


def _pairs(source: Party, destination: Party) -> list[Pair]:
    """Everyone with everyone else, in each family that both have."""
    found: list[Pair] = []
    for sender, ours in _ends(source):
        for receiver, theirs in _ends(destination):
            if sender is not None and sender is receiver:
                continue
            families = sorted({one.family for one in ours} & {one.family for one in theirs})
            for family in families:
                first, second = (next(one for one in held if one.family == family) for held in (ours, theirs))
                found.append((sender, receiver, first, second))
    return found


def _ends(party: Party) -> list[tuple[End | None, tuple[Cidr, ...]]]:
    if party.address is not None:
        return [(None, (party.address,))]
    return [(end, (party.named,) if party.named else end.addresses) for end in party.ends]


def _kind(reach: Reachability, end: End | None, address: Cidr) -> Kind:
    partition = reach.partitions[address.family]
    return reach.outside(address.family, partition.class_of(address)) if end is None else reach.kind(end)


class Asked(msgspec.Struct, frozen=True):
    """What all pairs are asked."""

    reach: Reachability
    service: Service
    nodes: Nodes | None


def _explain(asked: Asked, pair: Pair, kinds: tuple[Kind, Kind]) -> Explanation:
    source, destination, sender, receiver = pair
    reach = asked.reach
    allowed = reach.connection(*kinds) & reach.space.family(sender.family)
    packet = _packet(reach, allowed, sender, receiver, asked.service)
    peers = Peers(*(None if end is None else end.labels for end in (source, destination)))
    first = None if asked.nodes is None else start(asked.nodes, source, destination, packet)
    journey = None if asked.nodes is None or first is None else travel(asked.nodes, first)
    walks = [
        walk(reach.cluster, end, way, packet, peers)
        for end, way in ((source, Direction.EGRESS), (destination, Direction.INGRESS))
        if end is not None and (journey is None or is_asked(journey, end, way, (source, destination)))
    ]
    actions = [*(one.verdict.action for one in walks), *([journey.action] if journey else [])]
    denied = Action.DENY in actions
    directions = tuple(_judged(reach.cluster, one, peers, denied) for one in walks)
    unknown = (*_unknown(pair, journey), *(journey.unknown if journey else ()))
    return Explanation(source, destination, (sender, receiver), allowed, packet, directions, unknown, journey)


def _judged(cluster: Cluster, found: Walk, peers: Peers, denied: bool) -> Judged:
    """Where one direction denies, nothing is to be changed about one that allows."""
    decides = (found.verdict.action is Action.DENY) == denied
    return Judged(found, tuple(remedies(cluster, found, peers)) if decides else ())


def _packet(reach: Reachability, allowed: PacketSet, sender: Cidr, receiver: Cidr, service: Service) -> Packet:
    """One packet of the service: where it fares differently from packet to packet, one that does not get through."""
    wanted = service.packets(reach.space) & reach.space.family(sender.family)
    path = next(((wanted - allowed) or wanted).paths(), {})
    return msgspec.structs.replace(
        packet_in(dict(path) | {int(Field.FAMILY): ((4, 6).index(sender.family),) * 2}),
        source=sender.address,
        destination=receiver.address,
    )


def _unknown(pair: Pair, journey: Journey | None) -> tuple[str, ...]:
    source, destination = pair[:2]
    found = []
    for end, address in zip(pair[:2], pair[2:], strict=True):
        if end is None:
            found.append(f"{Cidr(address.family, address.address, BITS[address.family]).text}: nobody of this cluster")
    hosts = [end for end in (source, destination) if end is not None and end.key.kind == "HostEndpoint"]
    if hosts and journey is None:
        found.append("host endpoints: failsafe ports, and policies before address translation, are not looked at")
    return tuple(found)
