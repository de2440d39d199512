"""What the table has for interfaces of the host itself: base chains, maps, failsafes, and the chains of host endpoints.

Every place where host endpoints judge has a base chain and a map from interfaces to chains. A base chain
is there only while there is something to judge at its place: even an empty one costs every packet some
20 ns. What untracked or early policy accepts carries the accept mark past the later places of its interface.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from tortie.dataplane.nftables.matches import ICMP, Condition, in_nets, in_ports, of_family, of_icmp_types, of_protocol
from tortie.dataplane.nftables.rules import DISCOVERY, FAILSAFE, ChainWriter, Rendered, marked, set_mark
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.desired.failsafes import HOST_DISCOVERY, Failsafe
from tortie.desired.hosts import LOOPBACK, Place
from tortie.desired.policy import Direction, PolicyId, PortRange
from tortie.netlink.nftables import INTERFACE_NAME, Hook, SetDeclaration
from tortie.netlink.nftables_expressions import (
    Conntrack,
    Meta,
    Operator,
    Verdict,
    bitwise,
    compare,
    conntrack,
    counter,
    host32,
    map_lookup,
    meta,
    verdict,
)


class HostChain(msgspec.Struct, frozen=True, gc=False):
    """A base chain.

    Args:
        place: whose map it looks interfaces up in.
        interface: which interface of the packet that is.
        clears: it is the first to see a packet, and takes marks away that others may have left.
    """

    name: str
    hook: Hook
    place: Place
    interface: Meta
    clears: bool = False


PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
OUT = "host-out"
TRANSLATED = "host-out-translated"
HOST_CHAINS = (
    # Right behind anti-spoofing, before connection tracking (-200).
    HostChain("host-untracked-in", Hook(PREROUTING, -299), Place.UNTRACKED_INGRESS, Meta.IIFNAME, clears=True),
    # Before destinations are translated (-100).
    HostChain("host-pre-dnat", Hook(PREROUTING, -150), Place.PRE_DNAT, Meta.IIFNAME),
    HostChain("host-in", Hook(INPUT, 1), Place.INGRESS, Meta.IIFNAME),
    # Around the policies of workloads (0 and 1).
    HostChain("host-forward-in", Hook(FORWARD, -1), Place.FORWARD_INGRESS, Meta.IIFNAME),
    HostChain("host-forward-out", Hook(FORWARD, 2), Place.FORWARD_EGRESS, Meta.OIFNAME),
    HostChain("host-untracked-out", Hook(OUTPUT, -300), Place.UNTRACKED_EGRESS, Meta.OIFNAME, clears=True),
    HostChain(OUT, Hook(OUTPUT, 0), Place.EGRESS, Meta.OIFNAME),
    # Where a packet goes whose destination was translated is known only here.
    HostChain(TRANSLATED, Hook(POSTROUTING, -150), Place.EGRESS, Meta.OIFNAME),
)
HOST_HOOKS: Mapping[str, Hook] = MappingProxyType({chain.name: chain.hook for chain in HOST_CHAINS})
"""The base chains."""

HOST_MAPS: Mapping[Place, str] = MappingProxyType({place: f"hosts-{place.value}" for place in Place})
"""The maps from interfaces to chains."""
HOST_SETS: Mapping[str, SetDeclaration] = MappingProxyType(
    {name: SetDeclaration(INTERFACE_NAME, 16, verdicts=True) for name in HOST_MAPS.values()}
)

_TRANSLATED_DESTINATION = 1 << 5
"""IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h."""
_ACCEPT = verdict(Verdict.ACCEPT)
_COUNTED_ACCEPT = counter() + _ACCEPT


def host_base_rules(settings: Settings, used: Collection[Place], wildcard: Mapping[Place, str]) -> Iterator[Rendered]:
    """The rules of each base chain; the chain is the name in the identity.

    Args:
        used: places where some endpoint judges.
        wildcard: chains of the endpoint that guards all other interfaces, where it judges.
    """
    for chain in HOST_CHAINS:
        origin = PolicyId("Layout", "", chain.name)
        writer = ChainWriter(chain.name, origin, chain.place.direction)
        if chain.clears and (used or wildcard):
            accept = MarkBits.of(settings.mark_mask).accept
            writer.add("clear", set_mark(0, accept))
        if chain.place in used or chain.place in wildcard:
            _pass_by(writer, chain, settings)
            _dispatch(writer, chain, wildcard.get(chain.place, ""))
        yield origin, chain.place.direction, writer.rules()


def failsafe_chain(place: Place) -> str:
    """Name of the chain of what host endpoints always let pass at a place; empty where there is no such thing."""
    if place.is_forward:
        return ""
    short = "in" if place.direction is Direction.INGRESS else "out"
    return f"failsafes-untracked-{short}" if place.is_untracked else f"failsafes-{short}"


FAILSAFE_CHAINS: Mapping[str, Place] = MappingProxyType(
    {failsafe_chain(place): place for place in (Place.INGRESS, Place.EGRESS, *Place) if not place.is_forward}
)
"""Every such chain, and a place that has it."""


def failsafe_rules(settings: Settings) -> Iterator[Rendered]:
    """The rules of each failsafe chain. Before tracking, what is an answer cannot be told, so its port must do."""
    own = {Direction.INGRESS: settings.failsafes.inbound, Direction.EGRESS: settings.failsafes.outbound}
    for name, place in FAILSAFE_CHAINS.items():
        way = place.direction
        back = Direction.EGRESS if way is Direction.INGRESS else Direction.INGRESS
        origin = PolicyId("Failsafes", "", name)
        writer = ChainWriter(name, origin, way)
        writer.match("accept", _discovery(), _COUNTED_ACCEPT, DISCOVERY)
        _write_failsafes(writer, own[way], way, answers=False)
        if place.is_untracked:
            _write_failsafes(writer, own[back], way, answers=True)
        yield origin, way, writer.rules()


def _pass_by(writer: ChainWriter, chain: HostChain, settings: Settings) -> None:
    """What is not to be judged at this place."""
    if chain.name == TRANSLATED:
        # Forwarded packets were judged as such.
        writer.add("accept", meta(Meta.IIFNAME) + compare(bytes(16), Operator.NOT_EQUAL) + _ACCEPT)
        writer.add("accept", _translated(inverted=True) + _ACCEPT)
    if chain.name == OUT:
        writer.add("accept", _translated() + _ACCEPT)
    if chain.place in (Place.INGRESS, Place.EGRESS):
        for prefix in settings.interface_prefixes:
            writer.add("accept", meta(chain.interface) + compare(prefix.encode()) + _ACCEPT)
    if chain.place not in (Place.UNTRACKED_INGRESS, Place.UNTRACKED_EGRESS, Place.FORWARD_EGRESS):
        writer.add("accept", marked(MarkBits.of(settings.mark_mask).accept) + _ACCEPT)


def _dispatch(writer: ChainWriter, chain: HostChain, wildcard: str) -> None:
    writer.add("dispatch", meta(chain.interface) + map_lookup(HOST_MAPS[chain.place]))
    if wildcard:
        loopback = LOOPBACK.encode().ljust(16, b"\0")
        others = meta(chain.interface) + compare(loopback, Operator.NOT_EQUAL)
        writer.add("goto", others + verdict(Verdict.GOTO, wildcard), target=wildcard)


def _translated(inverted: bool = False) -> bytes:
    """Matches packets whose destination was translated; a bit among others, so never compared as a whole."""
    bit = conntrack(Conntrack.STATUS) + bitwise(host32(_TRANSLATED_DESTINATION), bytes(4))
    return bit + compare(bytes(4), Operator.EQUAL if inverted else Operator.NOT_EQUAL)


def _discovery() -> list[Condition]:
    return [of_family(6), of_protocol(ICMP[6]), of_icmp_types(HOST_DISCOVERY)]


def _write_failsafes(writer: ChainWriter, ports: Iterable[Failsafe], way: Direction, answers: bool) -> None:
    """One rule for each protocol and net.

    Args:
        answers: the ports are those of whoever is answering: the sender.
    """
    peer = 0 if way is Direction.INGRESS else 1
    groups = sorted({(one.protocol, one.net) for one in ports}, key=str)
    for protocol, net in groups:
        numbers = sorted({one.port for one in ports if (one.protocol, one.net) == (protocol, net)})
        conditions = [of_family(net.family)] if net else []
        conditions += [of_protocol(protocol)]
        conditions += [condition] if net and (condition := in_nets((net,), peer)) else []
        ranges = [PortRange(number, number) for number in numbers]
        conditions += [in_ports(ranges, 0 if answers else 1)]
        writer.match("accept", conditions, _COUNTED_ACCEPT, FAILSAFE)
