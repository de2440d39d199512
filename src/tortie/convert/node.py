"""Kubernetes Node to Node: labels and addresses are Kubernetes', the rest stands in Calico's annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from tortie.api.node import Node, NodeAddress, NodeBGP, NodeInterface, NodeSpec, NodeStatus, NodeWireguard, OrchRef
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.convert.converted import Converted, Unconvertible, each
from tortie.convert.findings import is_unknown, read
from tortie.convert.objects import KubernetesNode

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


def node(document: Mapping[str, Any]) -> Converted:
    """The node that an object of Kubernetes stands for.

    One without Calico's annotations is refused: it would take away the addresses that a node of this name has.

    Raises:
        InvalidResource: the object has no name, no address in an annotation, or the wrong shape.
    """
    written = read(document, KubernetesNode)
    found, given, metadata = written.found, written.value, written.value.metadata
    annotations = {
        key.removeprefix(PREFIX): value
        for key, value in metadata.annotations.items()
        if key.startswith(PREFIX) and value
    }
    bgp = _fields(BGP, annotations)
    own = [NodeAddress(address=one, type=_OWN) for one in found.attempt(_addresses, bgp) or ()]
    wireguard = _fields(WIREGUARD, annotations)
    node = Node(
        metadata=Metadata(name=metadata.name, labels=metadata.labels),
        spec=NodeSpec(
            bgp=NodeBGP(**bgp),
            orch_refs=(OrchRef(node_name=metadata.name, orchestrator="k8s"),),
            wireguard=NodeWireguard(**wireguard) if wireguard else None,
            addresses=(*own, *_others(given)),
            interfaces=found.attempt(_interfaces, annotations) or (),
            **_fields(SPEC, annotations),
        ),
        status=NodeStatus(pod_cidrs=(given.spec and given.spec.pod_cidrs) or (), **_fields(STATUS, annotations)),
    )
    return found.conclude(node, is_unknown)


def _fields(table: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    return {field: annotations[name] for field, name in table.items() if name in annotations}


def _addresses(bgp: Mapping[str, str]) -> list[str]:
    """Those of the node itself, without a length. Raises Unconvertible."""
    given = {field: bgp[field] for field in ("ipv4_address", "ipv6_address") if field in bgp}
    if not given:
        problem, remedy = f"has no {PREFIX}{BGP['ipv4_address']}", "set it, or write the Node of projectcalico.org/v3"
        raise Unconvertible("metadata.annotations", problem, remedy)
    return each(partial(_address, text, _path(BGP[field])) for field, text in given.items())


def _address(text: str, path: str) -> str:
    try:
        return Cidr.host(text).text
    except ValueError as error:
        raise Unconvertible(path, f"{text!r} is not an address", "write it as 10.0.0.1/24") from error


def _path(name: str) -> str:
    return f"metadata.annotations[{PREFIX}{name}]"


def _others(given: KubernetesNode) -> Iterator[NodeAddress]:
    """Those that Kubernetes knows; names are none."""
    for one in (given.status and given.status.addresses) or ():
        if one.type in _KUBERNETES:
            yield NodeAddress(address=one.address, type=one.type)


def _interfaces(annotations: Mapping[str, str]) -> tuple[NodeInterface, ...]:
    """Raises Unconvertible."""
    try:
        return msgspec.json.decode(annotations.get(INTERFACES, "[]"), type=tuple[NodeInterface, ...])
    except msgspec.DecodeError as error:
        remedy = 'write it as [{"name": "eth0", "addresses": ["10.0.0.1"]}], or leave it out'
        raise Unconvertible(_path(INTERFACES), "cannot be read", remedy) from error
