"""Short ways to make resources, and a world that applies and checks every delta."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec, BGPPeer, BGPPeerSpec
from tortie.api.bgpfilter import BGPFilter, BGPFilterSpec, FilterRuleV4
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.ipam import BlockAffinity
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.networkset import GlobalNetworkSet, NetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeBGP, NodeSpec, NodeStatus
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.rules import EntityRule, Rule
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.calculation.graph import Calculation
from tortie.calculation.permissions import Permissions
from tortie.desired.delta import Delta
from tortie.desired.packed import WIDTHS, unpack
from tortie.desired.policy import Policy, SetId
from tortie.desired.sets import Members
from tortie.desired.state import DesiredState


class Make:
    """Resources with everything that does not matter filled in."""

    Rule = Rule
    Entity = EntityRule
    Port = EndpointPort

    def allow(self, **fields: object) -> Rule:
        return Rule(action="Allow", **fields)

    def deny(self, **fields: object) -> Rule:
        return Rule(action="Deny", **fields)

    def endpoint(
        self, name: str, *addresses: str, labels: dict[str, str] | None = None, namespace: str = "shop", **spec: object
    ) -> WorkloadEndpoint:
        spec.setdefault("node", "here")
        spec.setdefault("interface_name", f"cali{name}")
        spec.setdefault("profiles", (f"kns.{namespace}",))
        networks = tuple(f"{address}/{128 if ':' in address else 32}" for address in addresses)
        metadata = Metadata(name=name, namespace=namespace, labels=labels or {})
        return WorkloadEndpoint(metadata=metadata, spec=WorkloadEndpointSpec(ip_networks=networks, **spec))

    def host(self, name: str, *expected: str, labels: dict[str, str] | None = None, **spec: object) -> HostEndpoint:
        spec.setdefault("node", "here")
        metadata = Metadata(name=name, labels=labels or {})
        return HostEndpoint(metadata=metadata, spec=HostEndpointSpec(expected_ips=expected, **spec))

    def policy(self, name: str, selector: str = "", namespace: str = "shop", **spec: object) -> NetworkPolicy:
        spec.setdefault("types", ("Ingress",))
        metadata = Metadata(name=name, namespace=namespace)
        return NetworkPolicy(metadata=metadata, spec=NetworkPolicySpec(selector=selector, **spec))

    def global_policy(self, name: str, selector: str = "", **spec: object) -> GlobalNetworkPolicy:
        spec.setdefault("types", ("Ingress",))
        return GlobalNetworkPolicy(
            metadata=Metadata(name=name), spec=GlobalNetworkPolicySpec(selector=selector, **spec)
        )

    def profile(self, name: str = "kns.shop", labels: dict[str, str] | None = None, **spec: object) -> Profile:
        return Profile(metadata=Metadata(name=name), spec=ProfileSpec(labels_to_apply=labels or {}, **spec))

    def tier(self, name: str, order: float | None = None, default_action: str | None = None) -> Tier:
        spec = TierSpec(order=order, default_action=default_action)
        return Tier(metadata=Metadata(name=name), spec=spec, status=TierStatus())

    def network_set(self, name: str, *nets: str, labels: dict[str, str], namespace: str = "") -> Resource:
        metadata = Metadata(name=name, namespace=namespace, labels=labels)
        kind = NetworkSet if namespace else GlobalNetworkSet
        return kind(metadata=metadata, spec=NetworkSetSpec(nets=nets))

    def node(
        self, name: str, ipv4: str = "", ipv6: str = "", labels: dict[str, str] | None = None, **bgp: object
    ) -> Node:
        speaker = NodeBGP(ipv4_address=ipv4, ipv6_address=ipv6, **bgp)
        metadata = Metadata(name=name, labels=labels or {})
        return Node(metadata=metadata, spec=NodeSpec(bgp=speaker), status=NodeStatus())

    def bgp_configuration(self, name: str = "default", **spec: object) -> BGPConfiguration:
        return BGPConfiguration(metadata=Metadata(name=name), spec=BGPConfigurationSpec(**spec))

    def peer(self, name: str, **spec: object) -> BGPPeer:
        return BGPPeer(metadata=Metadata(name=name), spec=BGPPeerSpec(**spec))

    def bgp_filter(self, name: str, **spec: object) -> BGPFilter:
        return BGPFilter(metadata=Metadata(name=name), spec=BGPFilterSpec(**spec))

    def bgp_rule(self, **fields: object) -> FilterRuleV4:
        return FilterRuleV4(**fields)

    def pool(self, name: str, cidr: str, **spec: object) -> IPPool:
        return IPPool(metadata=Metadata(name=name), spec=IPPoolSpec(cidr=cidr, **spec))

    def affinity(self, node: str, cidr: str, state: str = "confirmed") -> tuple[ResourceKey, BlockAffinity]:
        return ResourceKey("BlockAffinity", node, cidr), BlockAffinity(state=state)


class World:
    """A calculation in sync and the desired state that its deltas lead to; every delta is checked."""

    def __init__(self, node: str = "here", *, workload_routes: bool = False) -> None:
        permissions = Permissions(floating_ips=True, source_spoofing=True)
        self.calculation = Calculation(node, permissions, workload_routes=workload_routes)
        self.calculation.set_in_sync()
        self.state = DesiredState()

    def put(self, *resources: Resource) -> None:
        for resource in resources:
            self.calculation.update(resource.key, resource)

    def remove(self, *resources: Resource) -> None:
        for resource in resources:
            self.calculation.update(resource.key, None)

    def flush(self) -> Delta:
        delta = self.calculation.flush()
        check_delta(delta, self.state)
        self.state.apply(delta)
        check_references(self.state)
        return delta

    def go(self, *resources: Resource) -> Delta:
        self.put(*resources)
        return self.flush()

    def members(self) -> dict[SetId, set[str]]:
        return {set_id: readable(whole.members) for set_id, whole in self.state.sets.items()}

    def only_set(self) -> set[str]:
        (members,) = self.members().values()
        return members


def check_delta(delta: Delta, state: DesiredState) -> None:
    """Nothing is said that is known already, and every difference is exact."""
    assert delta.network != state.network
    for policy in delta.policies:
        assert state.policies.get(policy.id) != policy
    for endpoint in delta.endpoints:
        assert state.endpoints.get(endpoint.id) != endpoint
    for host in delta.host_endpoints:
        assert state.host_endpoints.get(host.name) != host
    for route in delta.routes:
        assert state.routes.get(route.destination) != route
    for prefix in delta.cluster_routes:
        assert state.cluster_routes.get(prefix.destination) != prefix
    for vtep in delta.vteps:
        assert state.vteps.get(vtep.id) != vtep
    for whole in delta.sets:
        assert whole.id not in state.sets
    for change in delta.set_changes:
        before = readable(state.sets[change.id].members)
        assert readable(change.removed) <= before
        assert not readable(change.added) & before
        assert change.added or change.removed


def check_references(state: DesiredState) -> None:
    """Whatever is named is there, and whatever is there is named."""
    lists = [each for endpoint in state.endpoints.values() for each in (endpoint.ingress, endpoint.egress)]
    tiers = [tier for each in lists for tier in (*each.tiers, *(each.pending or ()))]
    named = {policy for tier in tiers for policy in tier.policies}
    named |= {profile for each in lists for profile in each.profiles}
    named = named.union(*(host.policy_ids() for host in state.host_endpoints.values()))
    assert named == set(state.policies)
    used = {set_id for policy in state.policies.values() for set_id in sets_of(policy)}
    assert used | state.network.set_ids() == set(state.sets)


def sets_of(policy: Policy) -> Iterable[SetId]:
    for rule in (*policy.ingress, *policy.egress):
        for side in (rule.source, rule.destination):
            yield from (*side.sets, *side.not_sets, *side.port_sets, *side.not_port_sets, *side.service_sets)


def readable(members: Members) -> set[str]:
    """Members as text: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1,6:80`."""
    from tortie.base.addresses import Cidr

    found = {str(net) for net in (*members.nets4, *members.nets6)}
    for field, width in WIDTHS.items():
        records = unpack(getattr(members, field), width)
        assert records == sorted(set(records))
        for record in records:
            host = record[:-3] if field.startswith("ports") else record
            port = f",{record[-3]}:{int.from_bytes(record[-2:], 'big')}" if field.startswith("ports") else ""
            found.add(Cidr.from_bytes(host).text + port)
    return found


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def new_world() -> Callable[[], World]:
    return World
