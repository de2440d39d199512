"""What the packet filter must know of the cluster's network besides policy."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.policy import SetId

NODES = SetId("net:nodes")
"""Addresses of the other nodes: who may send us IP in IP, and who may be reached from pools without translation."""
VXLAN_PEERS = SetId("net:vxlan-peers")
"""Addresses of the other nodes that have an end of a VXLAN tunnel."""

IPIP = 4
"""Protocol number of IP in IP (RFC 2003)."""
VXLAN_PORT = 4789
"""UDP port of VXLAN (RFC 7348)."""


class Tunnels(msgspec.Struct, frozen=True, gc=False):
    """Which encapsulations the cluster uses; others are nobody's business.

    Args:
        ipip: IP in IP, which carries IPv4 alone; the set NODES is there then.
        vxlan: families whose packets VXLAN carries, sorted; the set VXLAN_PEERS is there then.
        wireguard: families for which this node has a key of WireGuard, sorted.
    """

    ipip: bool = False
    vxlan: tuple[int, ...] = ()
    wireguard: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ipip or self.vxlan or self.wireguard)


class FloatingAddress(msgspec.Struct, frozen=True, order=True, gc=False):
    """What is sent to `external` goes to `internal`, a workload of this node; both of one family and full length."""

    external: Cidr
    internal: Cidr


class Network(msgspec.Struct, frozen=True, gc=False):
    """All of it.

    Args:
        pools: prefixes of workloads, sorted; not those of load balancers.
        masqueraded: those of them that are not known outside, sorted; the set NODES is there then.
        services: prefixes of services that this node announces, sorted.
        floating: sorted; each external address once.
        code_points: differentiated services code points that workloads of this node ask for, sorted; the set
            `code_point_set` of each is there and holds their addresses.
        own: addresses that other nodes reach this one by, one of a family, while IP in IP or WireGuard is used.
        ipip_end: this node's address inside IP in IP, while that is used and it has one.
        wireguard_ends: its addresses inside WireGuard, at most one of a family.
    """

    tunnels: Tunnels = Tunnels()
    pools: tuple[Cidr, ...] = ()
    masqueraded: tuple[Cidr, ...] = ()
    services: tuple[Cidr, ...] = ()
    floating: tuple[FloatingAddress, ...] = ()
    code_points: tuple[int, ...] = ()
    own: tuple[Cidr, ...] = ()
    ipip_end: Cidr | None = None
    wireguard_ends: tuple[Cidr, ...] = ()

    def set_ids(self) -> set[SetId]:
        """The sets that it refers to."""
        nodes = {NODES} if self.tunnels.ipip or self.masqueraded else set()
        peers = {VXLAN_PEERS} if self.tunnels.vxlan else set()
        return nodes | peers | {code_point_set(value) for value in self.code_points}


NO_NETWORK = Network()
"""Where nothing is known."""


def code_point_set(value: int) -> SetId:
    """The set of addresses whose packets get a code point."""
    return SetId(f"net:dscp-{value}")


def of_family(family: int, nets: Iterable[Cidr]) -> list[Cidr]:
    """Those of one family."""
    return [one for one in nets if one.family == family]
