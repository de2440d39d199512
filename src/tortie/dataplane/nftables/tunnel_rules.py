"""Tunnels between nodes: who may send us encapsulated packets, and that host endpoints let those of nodes pass.

Whoever could send them from elsewhere could put any packet into the network. Chains are there only while the cluster
uses an encapsulation. Outer packets of VXLAN are not tracked: each flow inside has a source port of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.matches import Condition, in_nets, in_ports, in_set, of_family, of_protocol
from tortie.dataplane.nftables.rules import END, ChainWriter, Rendered, set_mark
from tortie.dataplane.nftables.sets import set_name
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.desired.failsafes import UDP
from tortie.desired.network import IPIP, NODES, VXLAN_PEERS, Tunnels
from tortie.desired.policy import Direction, PolicyId, PortRange, SetId
from tortie.netlink.nftables import Hook
from tortie.netlink.nftables_expressions import Verdict, counter, notrack, verdict

ADMISSION = "tunnel-admission"
_DEPARTURE = "tunnel-departure"
_UNTRACKED = ("tunnel-untracked-in", "tunnel-untracked-out")
TUNNEL_HOOKS: Mapping[str, Hook] = MappingProxyType(
    {
        # Before connection tracking (-200).
        _UNTRACKED[0]: Hook(0, -298),
        _UNTRACKED[1]: Hook(3, -299),
        # Before everything that judges what arrives for the host, and what it sends.
        ADMISSION: Hook(1, -1),
        _DEPARTURE: Hook(3, -1),
    }
)
"""The base chains."""

_SOURCE, _DESTINATION = 0, 1
_DROP = counter() + verdict(Verdict.DROP)


def tunnel_rules(settings: Settings, tunnels: Tunnels, guarded: bool) -> Iterator[Rendered]:
    """The rules of each base chain, none where it is not needed.

    Args:
        guarded: this node has host endpoints.
    """
    for name in TUNNEL_HOOKS:
        direction = Direction.INGRESS if name in (ADMISSION, _UNTRACKED[0]) else Direction.EGRESS
        origin = PolicyId("Layout", "", name)
        writer = ChainWriter(name, origin, direction)
        if name in _UNTRACKED and tunnels.vxlan:
            writer.match("notrack", _to_port(settings.vxlan_port), notrack())
        elif name == ADMISSION:
            _write_admission(writer, settings, tunnels, guarded)
        elif name == _DEPARTURE and guarded:
            _write_departure(writer, settings, tunnels)
        yield origin, direction, writer.rules()


def encapsulated(settings: Settings) -> Iterator[list[Condition]]:
    """What workloads must not send, whatever their policy says: whoever gets it takes it for that of their node."""
    if not settings.vxlan_from_workloads:
        yield _to_port(settings.vxlan_port)
    if not settings.ipip_from_workloads:
        yield [of_protocol(IPIP)]


def _write_admission(writer: ChainWriter, settings: Settings, tunnels: Tunnels, guarded: bool) -> None:
    admit = (_spare(settings) if guarded else b"") + counter() + verdict(Verdict.ACCEPT)
    if guarded:
        # Keys tell who it is from.
        _write_wireguard(writer, settings, tunnels, admit)
    if tunnels.ipip:
        _write_peers(writer, [of_family(4), of_protocol(IPIP)], _peers(NODES, 4, settings.external_nodes), admit)
        writer.match("drop", [of_family(4), of_protocol(IPIP)], _DROP, END)
    for family in tunnels.vxlan:
        tunnelled = [of_family(family), *_to_port(settings.vxlan_port)]
        _write_peers(writer, tunnelled, _peers(VXLAN_PEERS, family, settings.external_nodes), admit)
    if tunnels.vxlan:
        writer.match("drop", _to_port(settings.vxlan_port), _DROP, END)


def _write_departure(writer: ChainWriter, settings: Settings, tunnels: Tunnels) -> None:
    """Where they go to is known, so that policy for the host need not say it again."""
    leave = _spare(settings) + counter() + verdict(Verdict.ACCEPT)
    _write_wireguard(writer, settings, tunnels, leave)
    if tunnels.ipip:
        peers = _peers(NODES, 4, settings.external_nodes, _DESTINATION)
        _write_peers(writer, [of_family(4), of_protocol(IPIP)], peers, leave)
    for family in tunnels.vxlan:
        peers = _peers(VXLAN_PEERS, family, settings.external_nodes, _DESTINATION)
        _write_peers(writer, [of_family(family), *_to_port(settings.vxlan_port)], peers, leave)


def _write_wireguard(writer: ChainWriter, settings: Settings, tunnels: Tunnels, then: bytes) -> None:
    for family in tunnels.wireguard:
        if family in settings.wireguard:
            writer.match("accept", [of_family(family), *_to_port(settings.wireguard[family].port)], then)


def _write_peers(
    writer: ChainWriter, tunnelled: list[Condition], peers: Iterable[list[Condition]], then: bytes
) -> None:
    for peer in peers:
        writer.match("accept", [*tunnelled, *peer], then)


def _peers(set_id: SetId, family: int, external: Iterable[Cidr], end: int = _SOURCE) -> Iterator[list[Condition]]:
    yield [in_set(set_name(f"hosts{family}", set_id), family, end)]
    nets = [one for one in external if one.family == family]
    if nets:
        inside = in_nets(nets, end)
        yield [inside] if inside else []


def _to_port(port: int) -> list[Condition]:
    return [of_protocol(UDP), in_ports([PortRange(port, port)], 1)]


def _spare(settings: Settings) -> bytes:
    """Later places of the host's interface do not judge it."""
    accept = MarkBits.of(settings.mark_mask).accept
    return set_mark(accept, accept)
