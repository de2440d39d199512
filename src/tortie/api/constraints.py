"""The table of constraints between fields of one object, for every struct that has any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec, BGPPeerSpec
from tortie.api.builtin import TIERS
from tortie.api.canonical import protocol
from tortie.api.formats import PROTOCOLS_WITH_PORTS, is_community
from tortie.api.ippool import IPPoolSpec
from tortie.api.networkset import NetworkSet
from tortie.api.node import NodeBGP, NodeSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy
from tortie.api.prefixes import is_masked, read_peer, read_prefix
from tortie.api.profile import Profile
from tortie.api.rules import ICMP, EntityRule, HTTPPath, Port, Rule
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import IPNAT, EndpointPort, WorkloadEndpointSpec

Finding = tuple[str, str, str]
"""Path below the object, what is wrong, and what would be right."""


class Constraint(msgspec.Struct, frozen=True):
    """One sentence about an object, and the test that finds it broken."""

    path: str
    broken: Callable[[Any], object]
    problem: str
    remedy: str = ""


def findings(value: object) -> Iterator[Finding]:
    """Every constraint that an object itself breaks; what it holds is looked at on its own."""
    for constraint in CONSTRAINTS.get(type(value), ()):
        if constraint.broken(value):
            yield constraint.path, constraint.problem, constraint.remedy
    search = SEARCHES.get(type(value))
    if search is not None:
        yield from search(value)


def _speaks_icmp(given: int | str | None) -> bool:
    return given is not None and protocol(given) in ("ICMP", "ICMPv6", 1, 58)


def _named(rule: Rule, name: str) -> bool:
    return any(given is not None and protocol(given) == name for given in (rule.protocol, rule.not_protocol))


def _is_name(port: Port) -> bool:
    return isinstance(port, str) and not port.replace(":", "").isdecimal()


def _versions(nets: Iterable[str]) -> set[int]:
    return {interface.version for interface in map(read_prefix, nets) if interface is not None}


def _sides(rule: Rule) -> tuple[tuple[str, EntityRule], tuple[str, EntityRule]]:
    return ("source", rule.source), ("destination", rule.destination)


def _rule_search(rule: Rule) -> Iterator[Finding]:
    for name, side in _sides(rule):
        for field, ports in (("ports", side.ports), ("notPorts", side.not_ports)):
            if ports and not _may_have_ports(rule, ports):
                remedy = "set protocol to TCP, UDP or SCTP"
                yield f"{name}.{field}", "needs a protocol that has ports", remedy
    versions = {version for _, side in _sides(rule) for version in _versions((*side.nets, *side.not_nets))}
    if len(versions) > 1:
        yield "", "mixes IPv4 and IPv6 prefixes", "write one rule for each family"
    elif rule.ip_version is not None and versions and versions != {rule.ip_version}:
        yield "ipVersion", "does not fit the prefixes of the rule", f"set it to {versions.pop()} or leave it out"


def _may_have_ports(rule: Rule, ports: tuple[Port, ...]) -> bool:
    if rule.protocol is None:
        return all(_is_name(port) for port in ports)
    return protocol(rule.protocol) in PROTOCOLS_WITH_PORTS


def _policy_search(resource: Any) -> Iterator[Finding]:
    """What depends on the direction of a rule, or on the kind that holds it."""
    for direction, only in (("ingress", "source"), ("egress", "destination")):
        for index, rule in enumerate(getattr(resource.spec, direction)):
            path = f"spec.{direction}[{index}]"
            if rule.http is not None and direction == "egress":
                yield f"{path}.http", "is for ingress rules only", "move the match to the receiving side"
            for name, side in _sides(rule):
                if side.services is None:
                    continue
                if name != only:
                    yield f"{path}.{name}.services", f"cannot match the {name} of an {direction} rule", f"use {only}"
                if not side.services.namespace and not resource.namespaced:
                    yield f"{path}.{name}.services.namespace", "is required in a cluster-wide policy", ""


def _beside_services(side: EntityRule) -> bool:
    others = (side.selector, side.not_selector, side.namespace_selector, side.nets, side.not_nets)
    return side.services is not None and (any(others) or side.service_accounts is not None)


def _tier_search(tier: Tier) -> Iterator[Finding]:
    for builtin in TIERS:
        if builtin.metadata.name != tier.metadata.name:
            continue
        order, action = builtin.spec.order, builtin.spec.default_action
        if tier.spec.order != order:
            yield "spec.order", "of a built-in tier is fixed", f"must be {order:.0f}"
        if tier.spec.default_action != action:
            yield "spec.defaultAction", "of a built-in tier is fixed", f"must be {action}"


BLOCK_SIZES = {4: (20, 32), 6: (116, 128)}
"""Shortest and longest prefix of a block, by family."""

_LINK_LOCAL = tuple(
    interface.network for interface in map(read_prefix, ("169.254.0.0/16", "fe80::/10")) if interface is not None
)


def _pool_search(pool: IPPoolSpec) -> Iterator[Finding]:
    interface = read_prefix(pool.cidr)
    if interface is None:
        return
    network, (low, high) = interface.network, BLOCK_SIZES[interface.version]
    if not is_masked(interface):
        yield "cidr", f"has bits behind its prefix: {pool.cidr}", f"write {network}"
    if any(network.version == other.version and network.overlaps(other) for other in _LINK_LOCAL):
        yield "cidr", "overlaps the link-local range", "choose another prefix"
    if interface.version == 6 and _encapsulates(pool.ipip_mode):
        yield "ipipMode", "is not possible for IPv6", "use vxlanMode"
    if pool.block_size and not low <= pool.block_size <= high:
        yield "blockSize", f"is {pool.block_size}", f"from {low} to {high} for IPv{interface.version}"
    elif pool.block_size and network.prefixlen > pool.block_size and not pool.disabled:
        yield "cidr", f"is smaller than one block of /{pool.block_size}", "widen it, or give a larger blockSize"


def _encapsulates(mode: str) -> bool:
    return mode not in ("", "Never")


def _serves_load_balancers(pool: IPPoolSpec) -> bool:
    return "LoadBalancer" in pool.allowed_uses


def _bgp_configuration_search(spec: BGPConfigurationSpec) -> Iterator[Finding]:
    known = {community.name for community in spec.communities}
    for index, advertisement in enumerate(spec.prefix_advertisements):
        for position, community in enumerate(advertisement.communities):
            if community not in known and not is_community(community):
                path = f"prefixAdvertisements[{index}].communities[{position}]"
                yield path, f"{community!r} is neither a community nor the name of one", "define it in spec.communities"


def _mesh_field(path: str, value: Callable[[BGPConfigurationSpec], object]) -> Constraint:
    return Constraint(
        path,
        lambda spec: value(spec) is not None and spec.node_to_node_mesh_enabled is False,
        "needs the mesh between nodes",
        "leave it out, or set nodeToNodeMeshEnabled to true",
    )


def _global_field(path: str, value: Callable[[BGPConfigurationSpec], object]) -> Constraint:
    return Constraint(
        f"spec.{path}",
        lambda config: config.metadata.name.startswith("node.") and value(config.spec) is not None,
        "cannot be set for one node",
        "set it in the BGPConfiguration named default",
    )


def _other_family(peer: BGPPeerSpec) -> bool:
    address, gateway = read_peer(peer.peer_ip), read_prefix(peer.reachable_by)
    return address is not None and gateway is not None and address.version != gateway.version


def _workload_search(spec: WorkloadEndpointSpec) -> Iterator[Finding]:
    own = {interface.ip for interface in map(read_prefix, spec.ip_networks) if interface is not None}
    for index, nat in enumerate(spec.ip_nats):
        inner = read_prefix(nat.internal_ip)
        if inner is not None and inner.ip not in own:
            yield f"ipNATs[{index}].internalIP", "is not an address of this endpoint", "add it to ipNetworks"


CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {
    ICMP: (Constraint("code", lambda icmp: icmp.code is not None and icmp.type is None, "needs a type", "set type"),),
    HTTPPath: (
        Constraint("", lambda path: bool(path.exact) == bool(path.prefix), "needs exactly one of exact and prefix"),
    ),
    Rule: (
        Constraint(
            "icmp",
            lambda rule: rule.icmp is not None and not _speaks_icmp(rule.protocol),
            "needs protocol ICMP or ICMPv6",
        ),
        Constraint(
            "notICMP",
            lambda rule: rule.not_icmp is not None and not _speaks_icmp(rule.protocol),
            "needs protocol ICMP or ICMPv6",
        ),
        Constraint("ipVersion", lambda rule: rule.ip_version == 6 and _named(rule, "ICMP"), "must be 4 for ICMP"),
        Constraint("ipVersion", lambda rule: rule.ip_version == 4 and _named(rule, "ICMPv6"), "must be 6 for ICMPv6"),
        Constraint("http", lambda rule: rule.http is not None and rule.action != "Allow", "is for action Allow only"),
        Constraint(
            "http",
            lambda rule: (
                rule.http is not None and rule.protocol is not None and protocol(rule.protocol) not in ("TCP", 6)
            ),
            "needs protocol TCP",
        ),
        Constraint(
            "destination.services",
            lambda rule: (
                rule.destination.services is not None and (rule.destination.ports or rule.destination.not_ports)
            ),
            "brings its own ports",
            "leave out ports and notPorts",
        ),
    ),
    EntityRule: (
        Constraint(
            "services",
            _beside_services,
            "cannot stand beside selectors, prefixes or service accounts",
            "write two rules",
        ),
    ),
    GlobalNetworkPolicySpec: (
        Constraint(
            "preDNAT", lambda spec: spec.pre_dnat and spec.do_not_track, "cannot be set together with doNotTrack"
        ),
        Constraint(
            "applyOnForward",
            lambda spec: (spec.pre_dnat or spec.do_not_track) and not spec.apply_on_forward,
            "must be true for preDNAT and doNotTrack",
        ),
        Constraint("egress", lambda spec: spec.pre_dnat and spec.egress, "cannot be used with preDNAT"),
        Constraint("types", lambda spec: spec.pre_dnat and "Egress" in spec.types, "cannot hold Egress with preDNAT"),
    ),
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
        ),
        Constraint(
            "allowedUses",
            lambda pool: _serves_load_balancers(pool) and len(pool.allowed_uses) > 1,
            "cannot combine LoadBalancer with other uses",
        ),
        Constraint(
            "allowedUses",
            lambda pool: _serves_load_balancers(pool) and any(map(_encapsulates, (pool.vxlan_mode, pool.ipip_mode))),
            "cannot be LoadBalancer in a pool with encapsulation",
        ),
        Constraint(
            "disableBGPExport",
            lambda pool: _serves_load_balancers(pool) and pool.disable_bgp_export,
            "cannot be set for a LoadBalancer pool",
        ),
        Constraint(
            "nodeSelector",
            lambda pool: _serves_load_balancers(pool) and pool.node_selector not in ("", "all()"),
            "of a LoadBalancer pool must be all()",
        ),
        Constraint(
            "namespaceSelector",
            lambda pool: pool.namespace_selector and "Tunnel" in pool.allowed_uses,
            "cannot be set for a pool that serves tunnels",
            "set allowedUses to Workload",
        ),
    ),
    BGPConfiguration: (
        _global_field("nodeToNodeMeshEnabled", lambda spec: spec.node_to_node_mesh_enabled),
        _global_field("asNumber", lambda spec: spec.as_number),
        _global_field("nodeMeshPassword", lambda spec: spec.node_mesh_password),
        _global_field("nodeMeshMaxRestartTime", lambda spec: spec.node_mesh_max_restart_time),
    ),
    BGPConfigurationSpec: (
        _mesh_field("nodeMeshPassword", lambda spec: spec.node_mesh_password),
        _mesh_field("nodeMeshMaxRestartTime", lambda spec: spec.node_mesh_max_restart_time),
        Constraint(
            "communities",
            lambda spec: spec.communities and not spec.prefix_advertisements,
            "are defined but not used",
            "name them in prefixAdvertisements",
        ),
    ),
    BGPPeerSpec: (
        Constraint("nodeSelector", lambda peer: peer.node and peer.node_selector, "cannot be given together with node"),
        Constraint(
            "peerSelector", lambda peer: peer.peer_ip and peer.peer_selector, "cannot be given together with peerIP"
        ),
        Constraint(
            "asNumber",
            lambda peer: peer.peer_selector and peer.as_number,
            "cannot be given together with peerSelector",
            "leave it out: the selected nodes know theirs",
        ),
        Constraint(
            "localWorkloadSelector",
            lambda peer: peer.local_workload_selector and (peer.peer_ip or peer.peer_selector),
            "cannot be given together with peerIP or peerSelector",
        ),
        Constraint(
            "asNumber",
            lambda peer: peer.local_workload_selector and not peer.as_number,
            "is required with localWorkloadSelector",
        ),
        Constraint("reachableBy", lambda peer: peer.reachable_by and not peer.peer_ip, "needs peerIP"),
        Constraint("reachableBy", _other_family, "must be of the same family as peerIP"),
        Constraint(
            "nextHopMode",
            lambda peer: peer.keep_original_next_hop and peer.next_hop_mode,
            "cannot be given together with keepOriginalNextHop",
        ),
    ),
    NodeSpec: (Constraint("bgp", lambda node: node.bgp == NodeBGP(), "is empty", "give an address, or leave it out"),),
    EndpointPort: (
        Constraint("name", lambda port: not port.name and not port.host_port, "is required", "name the port"),
    ),
    IPNAT: (
        Constraint(
            "externalIP",
            lambda nat: len(_versions((nat.internal_ip, nat.external_ip))) > 1,
            "must be of the same family as internalIP",
        ),
    ),
}
"""Constraints by struct."""

SEARCHES: dict[type, Callable[[Any], Iterator[Finding]]] = {
    BGPConfigurationSpec: _bgp_configuration_search,
    GlobalNetworkPolicy: _policy_search,
    IPPoolSpec: _pool_search,
    NetworkPolicy: _policy_search,
    Profile: _policy_search,
    Rule: _rule_search,
    Tier: _tier_search,
    WorkloadEndpointSpec: _workload_search,
}
"""What takes more than one sentence, by struct."""
