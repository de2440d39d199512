"""What the packet filter must know of the cluster's network besides policy."""

from __future__ import annotations

import msgspec

from tortie.desired.policy import SetId

NODES = SetId("net:nodes")
"""Addresses of the other nodes: who may send us IP in IP."""
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
        wireguard: this node has a key of WireGuard.
    """

    ipip: bool = False
    vxlan: tuple[int, ...] = ()
    wireguard: bool = False

    def __bool__(self) -> bool:
        return bool(self.ipip or self.vxlan or self.wireguard)


class Network(msgspec.Struct, frozen=True, gc=False):
    """All of it."""

    tunnels: Tunnels = Tunnels()

    def set_ids(self) -> set[SetId]:
        """The sets that it refers to."""
        return {SetId(name) for name, used in self._uses() if used}

    def _uses(self) -> tuple[tuple[SetId, bool], ...]:
        return (NODES, self.tunnels.ipip), (VXLAN_PEERS, bool(self.tunnels.vxlan))


NO_NETWORK = Network()
"""Where nothing is known."""
