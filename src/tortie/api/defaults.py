"""Fields that a writer left out, filled in as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from tortie.api import canonical, durations, formats
from tortie.api.bgp import BGPConfiguration, BGPPeer
from tortie.api.bgpfilter import BGPFilter, FilterOperation, FilterRule
from tortie.api.builtin import DEFAULT_TIER
from tortie.api.endpointnames import name_of_workload_endpoint
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.fields import FIELDS
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.ippool import IPPool
from tortie.api.kubecontrollers import Controllers, KubeControllersConfiguration
from tortie.api.node import Node
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.resource import Resource
from tortie.api.stagedkubernetespolicy import StagedKubernetesNetworkPolicy
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicy, StagedNetworkPolicy
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec

TIER_LABEL = "projectcalico.org/tier"
"""Label of every policy that repeats its tier."""

BLOCK_SIZES = {4: 26, 6: 122}
"""Prefix length of the blocks of a pool, by family."""

POOL_USES = {False: ("Workload", "Tunnel"), True: ("Workload",)}
"""Uses of a pool that names none, by whether it is for some namespaces only: tunnels have no namespace."""

POLICY_TYPES = {
    (False, False): ("Ingress",),
    (True, False): ("Ingress",),
    (False, True): ("Egress",),
    (True, True): ("Ingress", "Egress"),
}
"""Directions of a policy that names none, by whether it has (ingress, egress) rules."""

FELIX_DEFAULTS = {
    "floating_ips": "Disabled",
    "bpf_connect_time_load_balancing": "TCP",
    "bpf_host_networked_nat_without_ctlb": "Enabled",
    "nftables_mode": "Auto",
    "nftables_flow_table_offload": "Disabled",
}
"""Settings of agents that are stored even when nobody gave them, in the object for all nodes only.

In an object for some nodes they would silently win over what is set for all.
"""

CONTROLLER_DEFAULTS: dict[str, dict[str, Any]] = {
    "node": {"reconciler_period": "5m0s", "sync_labels": "Enabled", "leak_grace_period": "15m0s"},
    "policy": {"reconciler_period": "5m0s"},
    "workload_endpoint": {"reconciler_period": "5m0s"},
    "service_account": {"reconciler_period": "5m0s"},
    "namespace": {"reconciler_period": "5m0s"},
    "load_balancer": {"assign_ips": "AllServices"},
    "migration": {"policy_name_migrator": "Enabled"},
}
"""Settings of controllers that are on; one without settings stays off."""

HOST_ENDPOINT_DEFAULTS = {"auto_create": "Disabled", "create_default_host_endpoint": "Enabled"}
"""What is made for every node, where the node controller makes host endpoints."""

SPEC_DEFAULTS: dict[type[Resource], dict[str, Any]] = {
    Tier: {"order": 1_000_000.0, "default_action": "Deny"},
    NetworkPolicy: {"tier": DEFAULT_TIER},
    GlobalNetworkPolicy: {"tier": DEFAULT_TIER},
    StagedNetworkPolicy: {"tier": DEFAULT_TIER, "staged_action": "Set"},
    StagedGlobalNetworkPolicy: {"tier": DEFAULT_TIER, "staged_action": "Set"},
    StagedKubernetesNetworkPolicy: {"staged_action": "Set"},
    IPPool: {
        "ipip_mode": "Never",
        "vxlan_mode": "Never",
        "node_selector": "all()",
        "assignment_mode": "Automatic",
    },
    KubeControllersConfiguration: {
        "log_severity_screen": "Info",
        "health_checks": "Enabled",
        "etcd_v3_compaction_period": "10m0s",
        "prometheus_metrics_port": 9094,
    },
    BGPConfiguration: {"log_severity_screen": "Info", "service_load_balancer_aggregation": "Enabled"},
}
"""Values of spec fields that are empty."""

NAMED_BY_CONTENT: frozenset[type[Resource]] = frozenset({WorkloadEndpoint})
"""Kinds whose objects need no name: it follows from what they say."""

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=msgspec.Struct)


def with_defaults(resource: R) -> R:
    """The resource with defaults filled in and values in canonical spelling; applying it twice changes nothing."""
    defaults = SPEC_DEFAULTS.get(type(resource))
    filled = _filled(resource, defaults) if defaults else resource
    step = _STEPS.get(type(resource))
    return filled if step is None else step(filled)


def _filled(resource: R, defaults: Mapping[str, Any]) -> R:
    spec: Any = getattr(resource, "spec")  # noqa: B009 - the base has none
    return replace(resource, spec=_with(spec, defaults))


def _with(part: S, defaults: Mapping[str, Any]) -> S:
    return replace(part, **{name: value for name, value in defaults.items() if getattr(part, name) in (None, "", ())})


def _kube_controllers(resource: KubeControllersConfiguration) -> KubeControllersConfiguration:
    controllers = _controllers(resource.spec.controllers)
    return replace(resource, spec=_with_durations(replace(resource.spec, controllers=controllers)))


def _controllers(given: Controllers) -> Controllers:
    enabled = {name: getattr(given, name) for name in CONTROLLER_DEFAULTS if getattr(given, name) is not None}
    filled = replace(
        given, **{name: _with_durations(_with(one, CONTROLLER_DEFAULTS[name])) for name, one in enabled.items()}
    )
    node = filled.node
    if node is None or node.host_endpoint is None:
        return filled
    return replace(filled, node=replace(node, host_endpoint=_with(node.host_endpoint, HOST_ENDPOINT_DEFAULTS)))


def _felix_configuration(resource: FelixConfiguration) -> FelixConfiguration:
    filled = _filled(resource, FELIX_DEFAULTS) if resource.metadata.name == "default" else resource
    overrides = tuple(_with_durations(one) for one in filled.spec.health_timeout_overrides)
    return replace(filled, spec=replace(_with_durations(filled.spec), health_timeout_overrides=overrides))


def _policy(resource: Any) -> Any:
    spec = resource.spec
    ingress, egress = canonical.rules(spec.ingress), canonical.rules(spec.egress)
    given = spec.types if _stages_deletion(spec) else spec.types or POLICY_TYPES[bool(ingress), bool(egress)]
    labels = {**resource.metadata.labels, TIER_LABEL: spec.tier}
    return replace(
        resource,
        metadata=replace(resource.metadata, labels=labels),
        spec=replace(spec, ingress=ingress, egress=egress, types=given),
    )


def _stages_deletion(spec: Any) -> bool:
    """A policy that stages a deletion says nothing else."""
    return getattr(spec, "staged_action", "") == "Delete"


def _kubernetes_policy(resource: StagedKubernetesNetworkPolicy) -> StagedKubernetesNetworkPolicy:
    spec = resource.spec
    if spec.policy_types or _stages_deletion(spec):
        return resource
    types = ("Ingress", "Egress") if spec.egress else ("Ingress",)
    return replace(resource, spec=replace(spec, policy_types=types))


def _host_endpoint(resource: HostEndpoint) -> HostEndpoint:
    ports = tuple(replace(port, protocol=canonical.protocol(port.protocol)) for port in resource.spec.ports)
    return replace(resource, spec=replace(resource.spec, ports=ports))


def _profile(resource: Profile) -> Profile:
    spec = resource.spec
    rules = {"ingress": canonical.rules(spec.ingress), "egress": canonical.rules(spec.egress)}
    return replace(resource, spec=replace(spec, **rules))


def _pool(resource: IPPool) -> IPPool:
    cidr = canonical.prefix(resource.spec.cidr)
    size = resource.spec.block_size or BLOCK_SIZES[6 if ":" in cidr else 4]
    uses = resource.spec.allowed_uses or POOL_USES[bool(resource.spec.namespace_selector)]
    return replace(resource, spec=replace(resource.spec, cidr=cidr, block_size=size, allowed_uses=uses))


def _node(resource: Node) -> Node:
    if resource.spec.bgp is None:
        return resource
    return replace(resource, spec=replace(resource.spec, bgp=_with_as_numbers(resource.spec.bgp, "as_number")))


def _bgp_configuration(resource: BGPConfiguration) -> BGPConfiguration:
    return replace(resource, spec=_with_durations(_with_as_numbers(resource.spec, "as_number")))


def _bgp_peer(resource: BGPPeer) -> BGPPeer:
    return replace(resource, spec=_with_durations(_with_as_numbers(resource.spec, "as_number", "local_as_number")))


def _bgp_filter(resource: BGPFilter) -> BGPFilter:
    spec = resource.spec
    lists = {name: tuple(_filter_rule(rule) for rule in getattr(spec, name)) for name in spec.__struct_fields__}
    return replace(resource, spec=replace(spec, **lists))


def _filter_rule(rule: FilterRule) -> FilterRule:
    path = tuple(canonical.as_number(number) for number in rule.as_path_prefix)
    return replace(rule, as_path_prefix=path, operations=tuple(_operation(one) for one in rule.operations))


def _operation(operation: FilterOperation) -> FilterOperation:
    prepend = operation.prepend_as_path
    if prepend is None:
        return operation
    numbers = tuple(canonical.as_number(number) for number in prepend.prefix)
    return replace(operation, prepend_as_path=replace(prepend, prefix=numbers))


def _with_as_numbers(part: Any, *names: str) -> Any:
    given = {name: getattr(part, name) for name in names}
    return replace(part, **{name: canonical.as_number(value) for name, value in given.items() if value is not None})


def _with_durations(part: S) -> S:
    given = {name: getattr(part, name) for name in _durations(type(part))}
    return replace(part, **{name: durations.canonical(text) for name, text in given.items() if text})


@cache
def _durations(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name, field in FIELDS.get(struct, {}).items() if field.format is formats.DURATION)


def _workload_endpoint(resource: WorkloadEndpoint) -> WorkloadEndpoint:
    metadata, spec = resource.metadata, resource.spec
    labels = {
        **metadata.labels,
        "projectcalico.org/namespace": metadata.namespace,
        "projectcalico.org/orchestrator": spec.orchestrator,
    }
    ports = tuple(_endpoint_port(port) for port in spec.ports)
    named = replace(metadata, name=metadata.name or _name_of(spec), labels=labels)
    return replace(resource, metadata=named, spec=replace(spec, ports=ports))


def _name_of(spec: WorkloadEndpointSpec) -> str:
    """The one name that an endpoint may have, or none where validation will say what it lacks."""
    try:
        return name_of_workload_endpoint(spec)
    except ValueError:
        return ""


def _endpoint_port(port: EndpointPort) -> EndpointPort:
    return replace(port, protocol=canonical.protocol(port.protocol))


_STEPS: dict[type[msgspec.Struct], Callable[[Any], Any]] = {
    BGPConfiguration: _bgp_configuration,
    BGPFilter: _bgp_filter,
    BGPPeer: _bgp_peer,
    FelixConfiguration: _felix_configuration,
    GlobalNetworkPolicy: _policy,
    HostEndpoint: _host_endpoint,
    IPPool: _pool,
    KubeControllersConfiguration: _kube_controllers,
    NetworkPolicy: _policy,
    Node: _node,
    Profile: _profile,
    StagedGlobalNetworkPolicy: _policy,
    StagedKubernetesNetworkPolicy: _kubernetes_policy,
    StagedNetworkPolicy: _policy,
    WorkloadEndpoint: _workload_endpoint,
}
