"""The addresses by which a node is known to the cluster."""

from __future__ import annotations

from tortie.api.node import Node, NodeBGP, NodeWireguard
from tortie.base.addresses import Cidr


def node_addresses(node: Node) -> tuple[Cidr, ...]:
    """Those that reach the host from everywhere, each once: its own and those of its tunnels, of no other interface.

    Raises:
        ValueError: one cannot be read.
    """
    spec, bgp, wireguard = node.spec, node.spec.bgp or NodeBGP(), node.spec.wireguard or NodeWireguard()
    own = (bgp.ipv4_address, bgp.ipv6_address, *(each.address for each in spec.addresses))
    tunnels = (bgp.ipv4_ipip_tunnel_addr, spec.ipv4_vxlan_tunnel_addr, spec.ipv6_vxlan_tunnel_addr)
    wireguards = (wireguard.interface_ipv4_address, wireguard.interface_ipv6_address)
    texts = (*own, *tunnels, *wireguards)
    return tuple(dict.fromkeys(Cidr.host(text) for text in texts if text))
