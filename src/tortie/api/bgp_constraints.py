"""Constraints between fields of BGP configurations and peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec, BGPPeer, BGPPeerSpec
from tortie.api.bgp_extensions import BFD, find_problems
from tortie.api.bgpfilter import FilterOperation, FilterRule, FilterRuleV4, FilterRuleV6, PrefixLengths
from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.expressions import holds, is_true, not_both
from tortie.api.formats import is_community
from tortie.api.prefixes import read_peer, read_prefix


def _bgp_configuration_search(spec: BGPConfigurationSpec) -> Iterator[Finding]:
    known = {community.name for community in spec.communities}
    for index, advertisement in enumerate(spec.prefix_advertisements):
        for position, community in enumerate(advertisement.communities):
            if community not in known and not is_community(community):
                path = f"prefixAdvertisements[{index}].communities[{position}]"
                yield path, f"{community!r} is neither a community nor the name of one", "define it in spec.communities"


def _extensions_search(resource: BGPConfiguration | BGPPeer) -> Iterator[Finding]:
    return find_problems(resource.metadata.annotations)


def _mesh_field(path: str, value: Callable[[BGPConfigurationSpec], object]) -> Constraint:
    return Constraint(
        path,
        lambda spec: value(spec) is not None and spec.node_to_node_mesh_enabled is False,
        "needs the mesh between nodes",
        "leave it out, or set nodeToNodeMeshEnabled to true",
        f"!has(self.{path}) || !has(self.nodeToNodeMeshEnabled) || self.nodeToNodeMeshEnabled",
    )


def _global_field(path: str, value: Callable[[BGPConfigurationSpec], object]) -> Constraint:
    return Constraint(
        f"spec.{path}",
        lambda config: config.metadata.name.startswith("node.") and value(config.spec) is not None,
        "cannot be set for one node",
        "set it in the BGPConfiguration named default",
        f"!self.metadata.name.startsWith('node.') || !has(self.spec) || !has(self.spec.{path})",
    )


def _other_family(peer: BGPPeerSpec) -> bool:
    address, gateway = read_peer(peer.peer_ip), read_prefix(peer.reachable_by)
    return address is not None and gateway is not None and address.version != gateway.version


def _operations(operation: FilterOperation) -> int:
    given = (operation.add_community, operation.prepend_as_path, operation.set_priority)
    return sum(one is not None for one in given)


def _beyond(length: int) -> Callable[[FilterRule], bool]:
    """Whether a rule names a length that no prefix of its family has."""

    def broken(rule: FilterRule) -> bool:
        lengths = rule.prefix_length or PrefixLengths()
        return any(one is not None and not 0 <= one <= length for one in (lengths.min, lengths.max))

    return broken


_FILTER_RULE = (
    Constraint(
        "matchOperator",
        lambda rule: bool(rule.cidr) is not bool(rule.match_operator),
        "and cidr go together",
        "give both, or leave out both",
    ),
    Constraint("prefixLength", lambda rule: rule.prefix_length is not None and not rule.cidr, "needs cidr"),
    Constraint("operations", lambda rule: rule.operations and rule.action != "Accept", "are for action Accept only"),
)

CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {
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
            f"!{holds('communities')} || {holds('prefixAdvertisements')}",
        ),
    ),
    FilterRuleV4: (*_FILTER_RULE, Constraint("prefixLength", _beyond(32), "is beyond IPv4", "from 0 to 32")),
    FilterRuleV6: (*_FILTER_RULE, Constraint("prefixLength", _beyond(128), "is beyond IPv6", "from 0 to 128")),
    PrefixLengths: (
        Constraint(
            "min",
            lambda lengths: lengths.min is not None and lengths.max is not None and lengths.min > lengths.max,
            "is larger than max",
        ),
    ),
    FilterOperation: (
        Constraint(
            "", lambda one: _operations(one) != 1, "needs exactly one of addCommunity, prependASPath, setPriority"
        ),
    ),
    BGPPeer: (
        Constraint(
            f"metadata.annotations[{BFD}]",
            lambda peer: peer.metadata.annotations.get(BFD) == "MultiHop" and peer.spec.source_address == "None",
            "MultiHop needs an address of the node",
            "leave out sourceAddress, or use SingleHop",
        ),
    ),
    BGPPeerSpec: (
        Constraint(
            "nodeSelector",
            lambda peer: peer.node and peer.node_selector,
            "cannot be given together with node",
            cel=not_both(holds("node"), holds("nodeSelector")),
        ),
        Constraint(
            "peerSelector",
            lambda peer: peer.peer_ip and peer.peer_selector,
            "cannot be given together with peerIP",
            cel=not_both(holds("peerIP"), holds("peerSelector")),
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
            cel=not_both(holds("localWorkloadSelector"), f"({holds('peerIP')} || {holds('peerSelector')})"),
        ),
        Constraint(
            "asNumber",
            lambda peer: peer.local_workload_selector and not peer.as_number,
            "is required with localWorkloadSelector",
            cel=f"!{holds('localWorkloadSelector')} || has(self.asNumber)",
        ),
        Constraint(
            "reachableBy",
            lambda peer: peer.reachable_by and not peer.peer_ip,
            "needs peerIP",
            cel=f"!{holds('reachableBy')} || {holds('peerIP')}",
        ),
        Constraint("reachableBy", _other_family, "must be of the same family as peerIP"),
        Constraint(
            "nextHopMode",
            lambda peer: peer.keep_original_next_hop and peer.next_hop_mode,
            "cannot be given together with keepOriginalNextHop",
            cel=not_both(is_true("keepOriginalNextHop"), holds("nextHopMode")),
        ),
    ),
}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {
    BGPConfigurationSpec: _bgp_configuration_search,
    BGPConfiguration: _extensions_search,
    BGPPeer: _extensions_search,
}
"""What takes more than one sentence, by struct."""
