"""Kubernetes Node to Node: labels and addresses are Kubernetes', the rest stands in Calico's annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tortie.api.node import Node, NodeAddress, NodeBGP, NodeInterface, NodeSpec, NodeStatus, NodeWireguard, OrchRef
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.convert.objects import KubernetesNode, named, read

PREFIX = "projectcalico.org/"
"""Before the name of every annotation."""

BGP = {
    "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address",
    "as_number": "ASNumber",
    "ipv4_ipip_tunnel_addr": "IPv4IPIPTunnelAddr",
    "route_reflector_cluster_id": "RouteReflectorClusterID",
}
"""Fields of `spec.bgp`, by annotation."""

SPEC = {
    "ipv4_vxlan_tunnel_addr": "IPv4VXLANTunnelAddr",
    "vxlan_tunnel_mac_addr": "VXLANTunnelMACAddr",
    "ipv6_vxlan_tunnel_addr": "IPv6VXLANTunnelAddr",
    "vxlan_tunnel_mac_addr_v6": "VXLANTunnelMACAddrV6",
}
"""Fields of `spec`, by annotation."""

WIREGUARD = {
    "interface_ipv4_address": "IPv4WireguardInterfaceAddr",
    "interface_ipv6_address": "IPv6WireguardInterfaceAddr",
}
"""Fields of `spec.wireguard`, by annotation."""

STATUS = {"wireguard_public_key": "WireguardPublicKey", "wireguard_public_key_v6": "WireguardPublicKeyV6"}
"""Fields of `status`, by annotation."""

INTERFACES = "Interfaces"
"""The annotation that holds `spec.interfaces` as JSON."""

_OWN, _KUBERNETES = "CalicoNodeIP", ("InternalIP", "ExternalIP")


def node(document: Mapping[str, Any]) -> Node:
    """The node that an object of Kubernetes stands for.

    One without Calico's annotations is refused: it would take away the addresses that a node of this name has.

    Raises:
        InvalidResource: the object has no name, no address in an annotation, or the wrong shape.
    """
    metadata, object = named(document, "Node")
    given = read(KubernetesNode, document, object)
    annotations = {
        key.removeprefix(PREFIX): value
        for key, value in (metadata.annotations or {}).items()
        if key.startswith(PREFIX) and value
    }
    bgp = _fields(BGP, annotations)
    own = [NodeAddress(address=each, type=_OWN) for each in _addresses(bgp, object)]
    wireguard = _fields(WIREGUARD, annotations)
    return Node(
        metadata=Metadata(name=metadata.name or "", labels=metadata.labels or {}),
        spec=NodeSpec(
            bgp=NodeBGP(**bgp),
            orch_refs=(OrchRef(node_name=metadata.name or "", orchestrator="k8s"),),
            wireguard=NodeWireguard(**wireguard) if wireguard else None,
            addresses=(*own, *_others(given)),
            interfaces=_interfaces(annotations, object),
            **_fields(SPEC, annotations),
        ),
        status=NodeStatus(pod_cidrs=(given.spec and given.spec.pod_cidrs) or (), **_fields(STATUS, annotations)),
    )


def _fields(table: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    return {field: annotations[name] for field, name in table.items() if name in annotations}


def _addresses(bgp: Mapping[str, str], object: str) -> list[str]:
    """Those of the node itself, without a length. Raises InvalidResource."""
    given = [bgp[field] for field in ("ipv4_address", "ipv6_address") if field in bgp]
    if not given:
        name = PREFIX + BGP["ipv4_address"]
        remedy = "set it, or write the Node of projectcalico.org/v3"
        raise InvalidResource(Problem(object, "metadata.annotations", f"has no {name}", remedy))
    try:
        return [Cidr.host(address).text for address in given]
    except ValueError as error:
        raise InvalidResource(Problem(object, "metadata.annotations", str(error), "write it as 10.0.0.1/24")) from error


def _others(given: KubernetesNode) -> Iterator[NodeAddress]:
    """Those that Kubernetes knows; names are none."""
    for each in (given.status and given.status.addresses) or ():
        if each.type in _KUBERNETES:
            yield NodeAddress(address=each.address, type=each.type)


def _interfaces(annotations: Mapping[str, str], object: str) -> tuple[NodeInterface, ...]:
    """Raises InvalidResource."""
    try:
        return msgspec.json.decode(annotations.get(INTERFACES, "[]"), type=tuple[NodeInterface, ...])
    except msgspec.DecodeError as error:
        problem = f"{PREFIX}{INTERFACES} cannot be read: {error}"
        raise InvalidResource(Problem(object, "metadata.annotations", problem, "leave it out")) from error
