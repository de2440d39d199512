"""The largest packet that a workload may send so that it still fits when it is encapsulated. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from tortie.desired.network import Tunnels
from tortie.netlink.links import Link

IPIP_OVERHEAD = 20
VXLAN_OVERHEAD = {4: 50, 6: 70}
WIREGUARD_OVERHEAD = {4: 60, 6: 80}
"""Bytes of outer headers, by family of the outer packet."""


def workload_mtu(
    links: Iterable[Link], pattern: re.Pattern[str], tunnels: Tunnels, vxlan: Mapping[int, int] = MappingProxyType({})
) -> int:
    """Bytes; 0 when no interface of the host that is up has a name of the pattern, so that nothing is known.

    Args:
        vxlan: what the MTU of the VXLAN device of each family is set to; 0 is what fits.
    """
    sizes = [link.mtu for link in links if link.up and link.mtu and pattern.search(link.name)]
    if not sizes:
        return 0
    chosen = [size for family in tunnels.vxlan if (size := vxlan.get(family, 0))]
    by_itself = tuple(family for family in tunnels.vxlan if not vxlan.get(family))
    fits = min(sizes) - overhead(msgspec.structs.replace(tunnels, vxlan=by_itself))
    return max(0, min([fits, *chosen]))


def overhead(tunnels: Tunnels) -> int:
    """Of the largest encapsulation that the cluster uses."""
    used = [IPIP_OVERHEAD] if tunnels.ipip else []
    used += [VXLAN_OVERHEAD[family] for family in tunnels.vxlan]
    used += [WIREGUARD_OVERHEAD[family] for family in tunnels.wireguard]
    return max(used, default=0)
