"""The whole desired state of a node, kept by applying deltas, and what changed since it was last programmed."""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.bgp import BGPNode
from tortie.desired.cluster import ClusterRoute, Vtep, VtepId
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.network import NO_NETWORK, Network
from tortie.desired.packed import apply_change
from tortie.desired.policy import Policy, PolicyId, SetId
from tortie.desired.routes import Route
from tortie.desired.sets import IPSet, SetChange
from tortie.desired.settings import NodeSettings
from tortie.desired.wireguard import WireguardPeer, WireguardPeerId


class Changes(msgspec.Struct):
    """Which objects may differ from what was last programmed.

    `sets` are to be compared whole; `set_changes` are exact differences, in order, to sets not in
    `sets`. `interfaces` are those that appeared, vanished or went up or down; `addresses` says that
    those of the host's own interfaces may be different, `settings` that everything may have to be otherwise.
    """

    sets: set[SetId] = msgspec.field(default_factory=set)
    set_changes: dict[SetId, list[SetChange]] = msgspec.field(default_factory=dict)
    policies: set[PolicyId] = msgspec.field(default_factory=set)
    endpoints: set[EndpointId] = msgspec.field(default_factory=set)
    host_endpoints: set[HostEndpointName] = msgspec.field(default_factory=set)
    routes: set[Cidr] = msgspec.field(default_factory=set)
    cluster_routes: set[Cidr] = msgspec.field(default_factory=set)
    vteps: set[VtepId] = msgspec.field(default_factory=set)
    wireguard_peers: set[WireguardPeerId] = msgspec.field(default_factory=set)
    interfaces: set[str] = msgspec.field(default_factory=set)
    addresses: bool = False
    network: bool = False
    bgp: bool = False
    settings: bool = False

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))

    def note(self, delta: Delta) -> None:
        """Add everything that a delta touches."""
        for whole in delta.sets:
            self.sets.add(whole.id)
            self.set_changes.pop(whole.id, None)
        for change in delta.set_changes:
            if change.id not in self.sets:
                self.set_changes.setdefault(change.id, []).append(change)
        for gone in delta.removed_sets:
            self.sets.add(gone)
            self.set_changes.pop(gone, None)
        self.policies.update(policy.id for policy in delta.policies)
        self.policies.update(delta.removed_policies)
        self.endpoints.update(endpoint.id for endpoint in delta.endpoints)
        self.endpoints.update(delta.removed_endpoints)
        self.host_endpoints.update(endpoint.name for endpoint in delta.host_endpoints)
        self.host_endpoints.update(delta.removed_host_endpoints)
        self.routes.update(route.destination for route in delta.routes)
        self.routes.update(delta.removed_routes)
        self.cluster_routes.update(route.destination for route in delta.cluster_routes)
        self.cluster_routes.update(delta.removed_cluster_routes)
        self.vteps.update(vtep.id for vtep in delta.vteps)
        self.vteps.update(delta.removed_vteps)
        self.wireguard_peers.update(peer.id for peer in delta.wireguard_peers)
        self.wireguard_peers.update(delta.removed_wireguard_peers)
        self.network = self.network or delta.network is not msgspec.UNSET
        self.bgp = self.bgp or delta.bgp is not msgspec.UNSET
        self.settings = self.settings or delta.settings is not msgspec.UNSET


class DesiredState(msgspec.Struct):
    """Everything this node shall have, by identity; `settings` is None where targets have their own."""

    sets: dict[SetId, IPSet] = msgspec.field(default_factory=dict)
    policies: dict[PolicyId, Policy] = msgspec.field(default_factory=dict)
    endpoints: dict[EndpointId, Endpoint] = msgspec.field(default_factory=dict)
    host_endpoints: dict[HostEndpointName, HostEndpoint] = msgspec.field(default_factory=dict)
    routes: dict[Cidr, Route] = msgspec.field(default_factory=dict)
    cluster_routes: dict[Cidr, ClusterRoute] = msgspec.field(default_factory=dict)
    vteps: dict[VtepId, Vtep] = msgspec.field(default_factory=dict)
    wireguard_peers: dict[WireguardPeerId, WireguardPeer] = msgspec.field(default_factory=dict)
    network: Network = NO_NETWORK
    bgp: BGPNode | None = None
    settings: NodeSettings | None = None

    def apply(self, delta: Delta) -> None:
        """Move to the state that the delta leads to."""
        if delta.settings is not msgspec.UNSET:
            self.settings = delta.settings
        self.sets.update((whole.id, whole) for whole in delta.sets)
        for change in delta.set_changes:
            old = self.sets[change.id]
            members = apply_change(old.members, change.added, change.removed)
            self.sets[change.id] = IPSet(id=change.id, members=members, ports=old.ports)
        if delta.network is not msgspec.UNSET:
            self.network = delta.network
        self.policies.update((policy.id, policy) for policy in delta.policies)
        self.endpoints.update((endpoint.id, endpoint) for endpoint in delta.endpoints)
        self.host_endpoints.update((endpoint.name, endpoint) for endpoint in delta.host_endpoints)
        self.vteps.update((vtep.id, vtep) for vtep in delta.vteps)
        self.wireguard_peers.update((peer.id, peer) for peer in delta.wireguard_peers)
        self.routes.update((route.destination, route) for route in delta.routes)
        self.cluster_routes.update((route.destination, route) for route in delta.cluster_routes)
        if delta.bgp is not msgspec.UNSET:
            self.bgp = delta.bgp
        for destination in delta.removed_cluster_routes:
            del self.cluster_routes[destination]
        for destination in delta.removed_routes:
            del self.routes[destination]
        for peer_id in delta.removed_wireguard_peers:
            del self.wireguard_peers[peer_id]
        for vtep_id in delta.removed_vteps:
            del self.vteps[vtep_id]
        for name in delta.removed_host_endpoints:
            del self.host_endpoints[name]
        for endpoint_id in delta.removed_endpoints:
            del self.endpoints[endpoint_id]
        for policy_id in delta.removed_policies:
            del self.policies[policy_id]
        for set_id in delta.removed_sets:
            del self.sets[set_id]
