"""A whole cluster in the compiled form: what every node would be told of the endpoints that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tortie.analysis.symbolic import Compiled
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.resource import Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.calculation.graph import Calculation, Value
from tortie.calculation.ipsets import SetSpec
from tortie.desired.policy import Direction, PolicyId, PolicyList, SetId
from tortie.desired.state import DesiredState
from tortie.selector.parser import Selector
from tortie.selector.scoping import policy_selector

EVERYWHERE = "every node"
"""The node that all endpoints are put on: policy does not depend on where they are. No node can have this name."""

KINDS = frozenset(
    {
        "WorkloadEndpoint",
        "HostEndpoint",
        "NetworkSet",
        "GlobalNetworkSet",
        "NetworkPolicy",
        "GlobalNetworkPolicy",
        "StagedNetworkPolicy",
        "StagedGlobalNetworkPolicy",
        "StagedKubernetesNetworkPolicy",
        "Profile",
        "Tier",
        "Pod",
        "EndpointSlice",
        "Node",
    }
)
"""What policy depends on."""


class End(msgspec.Struct, frozen=True, gc=False):
    """A workload or a host, as policy sees it.

    Args:
        key: its WorkloadEndpoint or HostEndpoint.
        node: where it is.
        pod: name of the pod that it is of, if it is of one.
        labels: its own and those that it inherits.
        addresses: of full length.
        ingress, egress: what governs it; of a host, what it receives and sends itself.
    """

    key: ResourceKey
    node: str
    pod: str
    labels: Mapping[str, str]
    addresses: tuple[Cidr, ...]
    ingress: PolicyList
    egress: PolicyList

    @property
    def name(self) -> str:
        """As people write it: `namespace/name`, or `host/name`."""
        return f"{self.key.namespace}/{self.key.name}" if self.key.namespace else f"host/{self.key.name}"

    def governing(self, way: Direction) -> PolicyList:
        """What governs one direction."""
        return self.ingress if way is Direction.INGRESS else self.egress


class Cluster(msgspec.Struct, frozen=True):
    """All ends, and the policies and sets that govern them.

    Args:
        specs: what the sets hold.
        selectors: whom each policy selects, as it is rewritten for its namespace.
        problems: what could not be read and counts as absent, and why.
    """

    ends: Mapping[ResourceKey, End]
    compiled: Compiled
    specs: Mapping[SetId, SetSpec] = {}
    selectors: Mapping[PolicyId, Selector] = {}
    problems: Mapping[ResourceKey, str] = {}


def compile_cluster(resources: Iterable[Resource]) -> Cluster:
    """What all nodes of a cluster with these resources are told, taken together. Other kinds are passed over."""
    calculation = Calculation(EVERYWHERE)
    selectors: dict[PolicyId, Selector] = {}
    found: dict[ResourceKey, WorkloadEndpoint | HostEndpoint] = {}
    for resource in resources:
        if resource.kind in KINDS:
            calculation.update(resource.key, _moved(resource, len(found)))
            if isinstance(resource, WorkloadEndpoint | HostEndpoint):
                found[resource.key] = resource
            elif isinstance(resource, NetworkPolicy | GlobalNetworkPolicy):
                selectors |= _selector(resource)
    calculation.set_in_sync()
    state = DesiredState()
    state.apply(calculation.flush())
    return Cluster(
        ends=_ends(found, state, calculation),
        compiled=Compiled.of(dict(state.policies), dict(state.sets)),
        specs=calculation.set_specs(),
        selectors=selectors,
        problems={key: str(problem) for key, problem in calculation.problems.current.items()},
    )


def _selector(policy: NetworkPolicy | GlobalNetworkPolicy) -> dict[PolicyId, Selector]:
    key = policy.key
    try:
        return {PolicyId(key.kind, key.namespace, key.name): policy_selector(policy)}
    except ValueError:
        # What is wrong is among the cluster's problems.
        return {}


def _moved(resource: Resource, number: int) -> Value:
    """An endpoint as one of the only node; on different nodes interfaces may have the same name."""
    replace = msgspec.structs.replace
    if isinstance(resource, WorkloadEndpoint):
        return replace(resource, spec=replace(resource.spec, node=EVERYWHERE, interface_name=f"cali{number}"))
    if isinstance(resource, HostEndpoint):
        return replace(resource, spec=replace(resource.spec, node=EVERYWHERE))
    return resource


def _ends(
    found: Mapping[ResourceKey, WorkloadEndpoint | HostEndpoint], state: DesiredState, calculation: Calculation
) -> dict[ResourceKey, End]:
    workloads = {(one.id.namespace, one.id.name): one for one in state.endpoints.values()}
    hosts = {str(one.name): one for one in state.host_endpoints.values()}
    ends = {}
    for key, resource in found.items():
        workload, host = workloads.get((key.namespace, key.name)), hosts.get(key.name)
        if isinstance(resource, WorkloadEndpoint) and workload is not None:
            addresses, ingress, egress = workload.addresses, workload.ingress, workload.egress
        elif isinstance(resource, HostEndpoint) and host is not None:
            addresses = tuple(sorted({Cidr.host(one) for one in resource.spec.expected_ips}))
            ingress, egress = host.ingress, host.egress
        else:
            continue
        pod = resource.spec.pod if isinstance(resource, WorkloadEndpoint) else ""
        ends[key] = End(key, resource.spec.node, pod, calculation.labels(key), addresses, ingress, egress)
    return ends
