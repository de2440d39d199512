"""Node: a host of the cluster, its addresses and its BGP identity."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class NodeBGP(Model, frozen=True, kw_only=True):
    """`ipv4_address` and `ipv6_address` keep their host bits and the length of the host's subnet."""

    as_number: int | str | None = None
    ipv4_address: str = ""
    ipv6_address: str = ""
    ipv4_ipip_tunnel_addr: str = msgspec.field(default="", name="ipv4IPIPTunnelAddr")
    route_reflector_cluster_id: str = msgspec.field(default="", name="routeReflectorClusterID")


class OrchRef(Model, frozen=True, kw_only=True):
    """What an orchestrator calls this node."""

    node_name: str = ""
    orchestrator: str = msgspec.field(default_factory=str)


class NodeWireguard(Model, frozen=True, kw_only=True):
    """Addresses of the WireGuard devices."""

    interface_ipv4_address: str = msgspec.field(default="", name="interfaceIPv4Address")
    interface_ipv6_address: str = msgspec.field(default="", name="interfaceIPv6Address")


class NodeAddress(Model, frozen=True, kw_only=True):
    """An address of the host; `type` is CalicoNodeIP, InternalIP or ExternalIP."""

    address: str = msgspec.field(default_factory=str)
    type: str = ""


class NodeInterface(Model, frozen=True, kw_only=True):
    """A network interface of the host."""

    name: str = ""
    addresses: tuple[str, ...] = ()


class NodeSpec(Model, frozen=True, kw_only=True):
    """Tunnel addresses are set by the node's own agent."""

    bgp: NodeBGP | None = None
    ipv4_vxlan_tunnel_addr: str = msgspec.field(default="", name="ipv4VXLANTunnelAddr")
    vxlan_tunnel_mac_addr: str = msgspec.field(default="", name="vxlanTunnelMACAddr")
    ipv6_vxlan_tunnel_addr: str = msgspec.field(default="", name="ipv6VXLANTunnelAddr")
    vxlan_tunnel_mac_addr_v6: str = msgspec.field(default="", name="vxlanTunnelMACAddrV6")
    orch_refs: tuple[OrchRef, ...] = ()
    wireguard: NodeWireguard | None = None
    addresses: tuple[NodeAddress, ...] = ()
    interfaces: tuple[NodeInterface, ...] = ()


class NodeStatus(Model, frozen=True, kw_only=True):
    """Public keys of the WireGuard devices, and Kubernetes pod prefixes."""

    wireguard_public_key: str = ""
    wireguard_public_key_v6: str = ""
    pod_cidrs: tuple[str, ...] = msgspec.field(default=(), name="podCIDRs")


class Node(Resource, frozen=True, kw_only=True):
    """A host of the cluster."""

    kind: ClassVar[str] = "Node"
    plural: ClassVar[str] = "nodes"

    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)
