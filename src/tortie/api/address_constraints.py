"""Constraints between fields of pools, network sets, nodes and workload endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.expressions import holds, is_true, names, not_both
from tortie.api.ippool import IPPoolSpec
from tortie.api.networkset import NetworkSet
from tortie.api.node import NodeBGP, NodeSpec
from tortie.api.prefixes import is_masked, read_prefix, versions
from tortie.api.workloadendpoint import IPNAT, EndpointPort, WorkloadEndpointSpec

BLOCK_SIZES = {4: (20, 32), 6: (116, 128)}
"""Shortest and longest prefix of a block, by family."""

IPV4_LINK_LOCAL = IPv4Network("169.254.0.0/16")
IPV6_LINK_LOCAL = IPv6Network("fe80::/10")


def _pool_search(pool: IPPoolSpec) -> Iterator[Finding]:
    interface = read_prefix(pool.cidr)
    if interface is None:
        return
    network, (low, high) = interface.network, BLOCK_SIZES[interface.version]
    if not is_masked(interface):
        yield "cidr", f"has bits behind its prefix: {pool.cidr}", f"write {network}"
    if _overlaps_link_local(network):
        yield "cidr", "overlaps the link-local range", "choose another prefix"
    if interface.version == 6 and _encapsulates(pool.ipip_mode):
        yield "ipipMode", "is not possible for IPv6", "use vxlanMode"
    if pool.block_size and not low <= pool.block_size <= high:
        yield "blockSize", f"is {pool.block_size}", f"from {low} to {high} for IPv{interface.version}"
    elif pool.block_size and network.prefixlen > pool.block_size and not pool.disabled:
        yield "cidr", f"is smaller than one block of /{pool.block_size}", "widen it, or give a larger blockSize"


def _overlaps_link_local(network: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network):
        return network.overlaps(IPV4_LINK_LOCAL)
    return network.overlaps(IPV6_LINK_LOCAL)


def _encapsulates(mode: str) -> bool:
    return mode not in ("", "Never")


def _serves_load_balancers(pool: IPPoolSpec) -> bool:
    return "LoadBalancer" in pool.allowed_uses


_CARRIED = {mode: f"({holds(mode)} && self.{mode} != 'Never')" for mode in ("vxlanMode", "ipipMode")}
_FOR_LOAD_BALANCERS = names("allowedUses", "LoadBalancer")


def _workload_search(spec: WorkloadEndpointSpec) -> Iterator[Finding]:
    own = {interface.ip for interface in map(read_prefix, spec.ip_networks) if interface is not None}
    for index, nat in enumerate(spec.ip_nats):
        inner = read_prefix(nat.internal_ip)
        if inner is not None and inner.ip not in own:
            yield f"ipNATs[{index}].internalIP", "is not an address of this endpoint", "add it to ipNetworks"


CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {
    NetworkSet: (
        Constraint(
            "metadata.labels[projectcalico.org/namespace]",
            lambda resource: "projectcalico.org/namespace" in resource.metadata.labels,
            "is set by the system",
            "leave it out",
        ),
    ),
    IPPoolSpec: (
        Constraint(
            "vxlanMode",
            lambda pool: _encapsulates(pool.vxlan_mode) and _encapsulates(pool.ipip_mode),
            "cannot be enabled together with ipipMode",
            cel=not_both(_CARRIED["vxlanMode"], _CARRIED["ipipMode"]),
        ),
        Constraint(
            "allowedUses",
            lambda pool: _serves_load_balancers(pool) and len(pool.allowed_uses) > 1,
            "cannot combine LoadBalancer with other uses",
            cel=not_both(_FOR_LOAD_BALANCERS, "size(self.allowedUses) > 1"),
        ),
        Constraint(
            "allowedUses",
            lambda pool: _serves_load_balancers(pool) and any(map(_encapsulates, (pool.vxlan_mode, pool.ipip_mode))),
            "cannot be LoadBalancer in a pool with encapsulation",
            cel=not_both(_FOR_LOAD_BALANCERS, f"({_CARRIED['vxlanMode']} || {_CARRIED['ipipMode']})"),
        ),
        Constraint(
            "disableBGPExport",
            lambda pool: _serves_load_balancers(pool) and pool.disable_bgp_export,
            "cannot be set for a LoadBalancer pool",
            cel=not_both(_FOR_LOAD_BALANCERS, is_true("disableBGPExport")),
        ),
        Constraint(
            "nodeSelector",
            lambda pool: _serves_load_balancers(pool) and pool.node_selector not in ("", "all()"),
            "of a LoadBalancer pool must be all()",
            cel=not_both(_FOR_LOAD_BALANCERS, f"({holds('nodeSelector')} && self.nodeSelector != 'all()')"),
        ),
        Constraint(
            "namespaceSelector",
            lambda pool: pool.namespace_selector and "Tunnel" in pool.allowed_uses,
            "cannot be set for a pool that serves tunnels",
            "set allowedUses to Workload",
            cel=not_both(holds("namespaceSelector"), names("allowedUses", "Tunnel")),
        ),
    ),
    NodeSpec: (Constraint("bgp", lambda node: node.bgp == NodeBGP(), "is empty", "give an address, or leave it out"),),
    EndpointPort: (
        Constraint("name", lambda port: not port.name and not port.host_port, "is required", "name the port"),
    ),
    IPNAT: (
        Constraint(
            "externalIP",
            lambda nat: len(versions((nat.internal_ip, nat.external_ip))) > 1,
            "must be of the same family as internalIP",
        ),
    ),
}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {
    IPPoolSpec: _pool_search,
    WorkloadEndpointSpec: _workload_search,
}
"""What takes more than one sentence, by struct."""
