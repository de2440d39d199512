"""The calculation: resources in, in any order; exact differences of this node's desired state out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from tortie.api.endpointslice import EndpointSlice
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.ipam import BlockAffinity, IPAMBlock
from tortie.api.livemigration import LiveMigration
from tortie.api.node import Node
from tortie.api.pod import Pod
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.resource import Resource, ResourceKey
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource
from tortie.calculation.bgp import BGP
from tortie.calculation.cluster import Cluster
from tortie.calculation.columns import Columns
from tortie.calculation.configurations import Configurations, Configure
from tortie.calculation.encrypted import EncryptedPeers
from tortie.calculation.endpoints import LocalEndpoints
from tortie.calculation.hosts import HostEndpoints
from tortie.calculation.ipsets import IPSets, SetSpec
from tortie.calculation.items import Item, check_interface, item_of
from tortie.calculation.labels import LabelIndex
from tortie.calculation.localnetwork import demands, host_demands
from tortie.calculation.migrations import Migrations
from tortie.calculation.network import ClusterNetwork
from tortie.calculation.newer import newer_conditions
from tortie.calculation.ordering import tier_rank
from tortie.calculation.permissions import NO_PERMISSIONS, Permissions
from tortie.calculation.pods import Pods
from tortie.calculation.policies import ActivePolicies
from tortie.calculation.policylists import PolicyLists
from tortie.calculation.problems import Problems
from tortie.calculation.profiles import ActiveProfiles
from tortie.calculation.programs import Programs
from tortie.calculation.services import Services
from tortie.calculation.staged import AnyStaged, staged
from tortie.calculation.steps import Steps, finished
from tortie.calculation.subjects import Subjects
from tortie.desired.delta import Delta
from tortie.desired.endpoints import EndpointId
from tortie.desired.hosts import HostEndpointName
from tortie.desired.policy import PolicyId, SetId
from tortie.desired.settings import NodeSettings

Value = Resource | IPAMBlock | BlockAffinity | None


class Work(msgspec.Struct, frozen=True, gc=False):
    """How much was done since the start.

    Args:
        touched: items put, removed or visited one by one in the label index.
        set_evaluations: selectors of IP sets evaluated.
        policy_evaluations: selectors of policies evaluated.
        endpoints: endpoints of this node made anew.
    """

    touched: int
    set_evaluations: int
    policy_evaluations: int
    endpoints: int


class Calculation:
    """The desired state of one node, as a function of the current resources only.

    Updates may come in any order, twice, or refer to what is not there yet. A resource that cannot
    be read counts as absent, and `problems` says why.

    Args:
        node: its name.
        permissions: what its endpoints may ask for, unless configured otherwise.
        router_id: of its BGP speaker: a dotted quad, `hash`, or empty for its IPv4 address.
        workload_routes: every workload of the cluster has a route of its own, whatever address management says.
        configure: what FelixConfigurations mean; without it they mean nothing.
        is_of_host: whether an interface of this node is none of workloads.
    """

    def __init__(
        self,
        node: str,
        permissions: Permissions = NO_PERMISSIONS,
        router_id: str = "",
        *,
        workload_routes: bool = False,
        configure: Configure | None = None,
        is_of_host: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.node = node
        self._is_of_host = is_of_host
        self._workload_routes = workload_routes
        self._permissions = permissions
        self.problems = Problems()
        self._configurations = Configurations(node, configure, self.problems)
        self._settings: NodeSettings | None = None
        self._in_sync = False
        self._all_dirty = False
        self._labels = LabelIndex()
        self._columns = Columns(self._labels)
        self._pods = Pods(self._columns)
        self._services = Services(self.problems)
        self._sets = IPSets(self._columns, self._labels, self._services)
        self._programs = Programs(self._sets)
        self._profiles = ActiveProfiles(self._programs, self.problems)
        self._subjects = Subjects(self._labels)
        self._migrations = Migrations(self.problems, self._labels.labels)
        self._endpoints = LocalEndpoints(self._subjects, self._profiles, self._migrations, permissions)
        self._hosts = HostEndpoints(self._subjects, self._profiles)
        self._policies = ActivePolicies(self._subjects, self._labels, self._programs, self.problems)
        self._bgp = BGP(node, self.problems, router_id)
        self._cluster = Cluster(node, self.problems)
        self._encrypted = EncryptedPeers(node, self.problems)
        self._network = ClusterNetwork(node, self.problems, self._endpoints.network)

    @property
    def work(self) -> Work:
        """How much was done since the start."""
        return Work(
            self._labels.touched,
            self._sets.selections.evaluations,
            self._policies.selections.evaluations,
            self._endpoints.made,
        )

    def update(self, key: ResourceKey, value: Value) -> None:
        """The resource is now this; None when it is gone. Cheap: most of the work is left to `flush`."""
        self.problems.forget(key)
        if problem := newer_conditions(key, value):
            self.problems.note(key, problem)
        match key.kind:
            case "WorkloadEndpoint" | "HostEndpoint" | "NetworkSet" | "GlobalNetworkSet":
                self._update_item(key, value if isinstance(value, Resource) else None)
            case "NetworkPolicy" | "GlobalNetworkPolicy":
                policy = value if isinstance(value, NetworkPolicy | GlobalNetworkPolicy) else None
                self._policies.put(PolicyId(key.kind, key.namespace, key.name), policy)
            case "StagedNetworkPolicy" | "StagedGlobalNetworkPolicy" | "StagedKubernetesNetworkPolicy":
                self._update_staged(key, value if isinstance(value, AnyStaged) else None)
            case "Profile":
                self._update_profile(key.name, value if isinstance(value, Profile) else None)
            case "Tier":
                self._update_tier(key.name, value if isinstance(value, Tier) else None)
            case "Pod":
                self._update_pod(key, value if isinstance(value, Pod) else None)
            case "FelixConfiguration":
                self._configurations.put(key, value if isinstance(value, FelixConfiguration) else None)
            case "EndpointSlice":
                slice = value if isinstance(value, EndpointSlice) else None
                self._services.put(key, slice)
                self._bgp.put(key, slice)
            case "LiveMigration":
                self._migrations.put(key, value if isinstance(value, LiveMigration) else None)
            case "IPAMBlock":
                self._cluster.put(key, value)
            case _:
                if key.kind == Node.kind:
                    self._update_item(key, value if isinstance(value, Node) else None)
                    self._configurations.put_node(key.name, value if isinstance(value, Node) else None)
                    self._encrypted.put(key, value if isinstance(value, Node) else None)
                self._bgp.put(key, value if not isinstance(value, IPAMBlock) else None)
                self._network.put(key, value)
                self._cluster.put(key, value)

    def policy_order(self) -> list[PolicyId]:
        """All active policies, enforced and staged, in the order in which packets meet them."""
        return self._policies.ordering.in_order()

    def labels(self, key: ResourceKey) -> dict[str, str]:
        """What selectors see of an endpoint, network set or node: its own labels and those that it inherits."""
        return self._labels.labels(self._columns.number(key))

    def set_specs(self) -> Mapping[SetId, SetSpec]:
        """What the sets hold that rules name."""
        return self._sets.specs()

    def set_in_sync(self) -> None:
        """All resources that existed at the start have been given; from now on `flush` has output."""
        self._in_sync = True

    def flush(self) -> Delta:
        """The exact difference between what was last told and what the resources now imply."""
        return finished(self.steps())

    def steps(self) -> Steps[Delta]:
        """`flush`, with pauses: nothing may be updated in them, but everything may be read."""
        if not self._in_sync:
            return Delta()
        settings = self._configured()
        changes = self._labels.take_changes()
        touched = yield from self._policies.flush(self._subjects.concerned(changes))
        if self._all_dirty:
            touched |= self._subjects.items
            self._all_dirty = False
        if self._migrations.selects:
            touched |= changes.items & self._subjects.items
        lists = PolicyLists(self._policies)
        endpoints, removed_endpoints = yield from self._endpoints.flush(touched, lists)
        hosts, removed_hosts = self._hosts.flush(touched, lists)
        self._profiles.flush()
        policies, removed_policies = self._programs.flush()
        sets = yield from self._sets.flush(changes)
        network = self._network.flush(sets)
        self._columns.settle()
        self._services.settle()
        routes, removed_routes = self._endpoints.routes.flush()
        cluster_routes, removed_cluster_routes = yield from self._cluster.flush()
        vteps, removed_vteps = self._cluster.flush_ends()
        self._encrypted.at(self._cluster.shifted())
        peers, removed_peers = self._encrypted.flush(self._cluster.at)
        return Delta(
            settings=settings,
            sets=tuple(sets.sets),
            set_changes=tuple(sets.changes),
            network=network,
            policies=tuple(policies),
            endpoints=tuple(endpoints),
            host_endpoints=tuple(hosts),
            vteps=tuple(vteps),
            wireguard_peers=tuple(peers),
            routes=tuple(routes),
            cluster_routes=tuple(cluster_routes),
            bgp=self._bgp.flush(),
            removed_cluster_routes=tuple(removed_cluster_routes),
            removed_routes=tuple(removed_routes),
            removed_wireguard_peers=tuple(removed_peers),
            removed_vteps=tuple(removed_vteps),
            removed_host_endpoints=tuple(removed_hosts),
            removed_endpoints=tuple(removed_endpoints),
            removed_policies=tuple(removed_policies),
            removed_sets=tuple(sets.removed),
        )

    def conflicts(self) -> Iterator[str]:
        """What resources, each of them valid, contradict one another in, as far as this node is concerned."""
        yield from self._endpoints.contested()
        yield from self._profiles.missing()
        yield from self._bgp.shared_addresses()
        yield from self._encrypted.shared_keys()

    def is_empty(self) -> bool:
        """Whether nothing is held any more: after every resource is gone, and a flush."""
        parts = (self._labels, self._columns, self._pods, self._services, self._sets, self._programs)
        others = (
            self._configurations,
            self._subjects,
            self._profiles,
            self._endpoints,
            self._hosts,
            self._policies,
            self._bgp,
            self._network,
            self._cluster,
            self._encrypted,
            self._migrations,
        )
        return (
            all(part.is_empty() for part in parts)
            and all(part.is_empty() for part in others)
            and not self._policies.ordering.tiers
            and not self.problems.current
        )

    def _configured(self) -> NodeSettings | msgspec.UnsetType:
        """The settings when they changed."""
        configured = self._configurations.flush()
        if configured is None:
            return msgspec.UNSET
        self._endpoints.permit(configured.permissions)
        if configured.settings == self._settings:
            return msgspec.UNSET
        self._settings = configured.settings
        return configured.settings

    def _update_item(self, key: ResourceKey, resource: Resource | None) -> None:
        item = self._read_item(key, resource)
        if resource is None or item is None:
            self._remove_item(key)
            return
        number = self._columns.number(key)
        item = self._pods.dress(number, resource, item)
        self._columns.put(key, item)
        self._place(key, resource)
        if isinstance(resource, WorkloadEndpoint | HostEndpoint) and resource.spec.node != self.node:
            # Nearly all endpoints are elsewhere, and always were.
            if isinstance(resource, HostEndpoint) or self._endpoints.has(number):
                self._remove_endpoint(key)
        elif isinstance(resource, WorkloadEndpoint):
            self._endpoints.put(EndpointId(key.namespace, key.name), resource.spec, item.parents, number)
        elif isinstance(resource, HostEndpoint):
            self._hosts.put(HostEndpointName(key.name), resource.spec, number)
            self._endpoints.network.replace(HostEndpointName(key.name), host_demands(resource))

    def _place(self, key: ResourceKey, resource: Resource | None) -> None:
        """Where the addresses of a workload are, as far as blocks do not say it."""
        if isinstance(resource, WorkloadEndpoint) and (self._workload_routes or resource.spec.node == self.node):
            self._cluster.put_endpoint(key, resource.spec.node, map(Cidr.host, resource.spec.ip_networks))
        elif key.kind == WorkloadEndpoint.kind:
            self._cluster.remove_endpoint(key)

    def _remove_item(self, key: ResourceKey) -> None:
        self._place(key, None)
        number = self._columns.remove(key)
        if number is not None:
            self._pods.forget(number)
        self._remove_endpoint(key)

    def _remove_endpoint(self, key: ResourceKey) -> None:
        if key.kind == WorkloadEndpoint.kind:
            self._endpoints.remove(EndpointId(key.namespace, key.name))
        elif key.kind == HostEndpoint.kind:
            self._hosts.remove(HostEndpointName(key.name))
            self._endpoints.network.remove(HostEndpointName(key.name))

    def _update_pod(self, key: ResourceKey, pod: Pod | None) -> None:
        for item, profiles in self._pods.put(key, pod):
            self._endpoints.set_profiles(item, profiles)

    def _read_item(self, key: ResourceKey, resource: Resource | None) -> Item | None:
        if resource is None:
            return None
        try:
            self._check_demands(resource)
            return item_of(resource)
        except ValueError as error:
            self.problems.note(key, error)
            return None

    def _check_demands(self, resource: Resource) -> None:
        """Raises ValueError: an endpoint of this node asks for what cannot be."""
        if isinstance(resource, WorkloadEndpoint) and resource.spec.node == self.node:
            check_interface(resource.spec.interface_name, self._is_of_host)
            demands(resource.spec, self._permissions)
        elif isinstance(resource, HostEndpoint) and resource.spec.node == self.node:
            host_demands(resource)

    def _update_staged(self, key: ResourceKey, policy: AnyStaged | None) -> None:
        try:
            found = None if policy is None else staged(policy)
        except InvalidResource as error:
            self.problems.note(key, error)
            found = None
        self._policies.stage(PolicyId(key.kind, key.namespace, key.name), found)

    def _update_profile(self, name: str, profile: Profile | None) -> None:
        self._labels.set_parent(name, profile.spec.labels_to_apply if profile else None)
        self._profiles.put(name, profile)

    def _update_tier(self, name: str, tier: Tier | None) -> None:
        if tier is None:
            self._policies.ordering.tiers.pop(name, None)
        else:
            self._policies.ordering.tiers[name] = tier_rank(tier)
        self._all_dirty = True
