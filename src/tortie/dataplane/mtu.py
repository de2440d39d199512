"""The largest packet that a workload may send so that it still fits when it is encapsulated. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from tortie.base.addresses import BITS
from tortie.desired.network import Tunnels
from tortie.netlink.links import Link

IPIP_OVERHEAD = 20
VXLAN_OVERHEAD = {4: 50, 6: 70}
WIREGUARD_OVERHEAD = {4: 60, 6: 80}
"""Bytes of outer headers, by family of the outer packet."""


class Chosen(msgspec.Struct, frozen=True):
    """What the MTU of each kind of device is set to, by family; 0, and what is not there, is what fits."""

    ipip: int = 0
    vxlan: Mapping[int, int] = MappingProxyType({})
    wireguard: Mapping[int, int] = MappingProxyType({})


def workload_mtu(
    links: Iterable[Link], pattern: re.Pattern[str], tunnels: Tunnels, chosen: Chosen | None = None
) -> int:
    """Bytes; 0 when no interface of the host that is up has a name of the pattern, so that nothing is known."""
    underneath = host_mtu(links, pattern)
    fits = [underneath - room for room in overheads(tunnels, chosen or Chosen())]
    return max(0, min([underneath, *fits, *_set(tunnels, chosen or Chosen())]))


def outer_mtus(
    links: Iterable[Link], pattern: re.Pattern[str], tunnels: Tunnels, chosen: Chosen | None = None
) -> dict[int, int]:
    """The largest packets that hosts send each other for workloads, by family; empty where nothing is known."""
    found = list(links)
    inner, most = workload_mtu(found, pattern, tunnels, chosen), host_mtu(found, pattern)
    room = {family: [0] for family in BITS}
    room[4] += [IPIP_OVERHEAD] if tunnels.ipip else []
    for family in tunnels.vxlan:
        room[family].append(VXLAN_OVERHEAD[family])
    for family in tunnels.wireguard:
        room[family].append(WIREGUARD_OVERHEAD[family])
    return {family: min(most, inner + max(needed)) for family, needed in room.items()} if inner else {}


def host_mtu(links: Iterable[Link], pattern: re.Pattern[str]) -> int:
    """The smallest of the host's interfaces that are up and have a name of the pattern; 0 when there is none."""
    return min((link.mtu for link in links if link.up and link.mtu and pattern.search(link.name)), default=0)


def overheads(tunnels: Tunnels, chosen: Chosen) -> list[int]:
    """Of each encapsulation that the cluster uses, without those whose MTU is set."""
    used = [IPIP_OVERHEAD] if tunnels.ipip and not chosen.ipip else []
    used += [VXLAN_OVERHEAD[family] for family in tunnels.vxlan if not chosen.vxlan.get(family)]
    return used + [WIREGUARD_OVERHEAD[family] for family in tunnels.wireguard if not chosen.wireguard.get(family)]


def _set(tunnels: Tunnels, chosen: Chosen) -> list[int]:
    of_ipip = chosen.ipip if tunnels.ipip else 0
    of_vxlan = (chosen.vxlan.get(family, 0) for family in tunnels.vxlan)
    of_wireguard = (chosen.wireguard.get(family, 0) for family in tunnels.wireguard)
    return [size for size in (of_ipip, *of_vxlan, *of_wireguard) if size]
