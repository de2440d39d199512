"""What this release stores but does not carry out, or carries out in part: told to whoever applies it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tortie.agent.felix_unused import UNUSED
from tortie.api.bgp import BGPConfiguration
from tortie.api.defaults import FELIX_DEFAULTS
from tortie.api.endpointslice import SERVICE_LABEL, EndpointSlice
from tortie.api.felixconfiguration import FelixConfiguration, stored_name
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.resource import Resource
from tortie.api.service import Service
from tortie.base.errors import Problem
from tortie.calculation.codepoints import CODE_POINT, code_point

_NOT_DONE = "is stored, but this release does not carry it out"
_FOR_PROXIES = "is for L7 proxies: the kernel allows all that the rest of the rule matches"

STORED_ONLY = frozenset(
    {
        "BlockAffinity",
        "CalicoNodeStatus",
        "ClusterInformation",
        "IPAMConfiguration",
        "KubeControllersConfiguration",
        "LiveMigration",
    }
)
"""Kinds without any effect yet."""

FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "StagedGlobalNetworkPolicy": {
        "doNotTrack": lambda spec: spec.do_not_track,
        "preDNAT": lambda spec: spec.pre_dnat,
    },
    "BGPConfiguration": {
        "localWorkloadPeeringIPV4": lambda spec: bool(spec.local_workload_peering_ipv4),
        "localWorkloadPeeringIPV6": lambda spec: bool(spec.local_workload_peering_ipv6),
    },
    "BGPPeer": {
        "localWorkloadSelector": lambda spec: bool(spec.local_workload_selector),
    },
}
"""Fields without effect yet, by kind: when they ask for something."""


def reservations(resource: Resource) -> Iterator[Problem]:
    """What is accepted and does less than it seems to."""
    object, spec = str(resource.key), getattr(resource, "spec", None)
    if resource.kind in STORED_ONLY:
        yield Problem(object, "", _NOT_DONE)
    yield from _of_names(resource)
    yield from _of_hosts(resource)
    yield from _of_backends(resource)
    yield from _of_settings(resource)
    for field, asks in FIELDS.get(resource.kind, {}).items():
        if asks(spec):
            yield Problem(object, f"spec.{field}", _NOT_DONE)
    for direction in ("ingress", "egress"):
        for index, rule in enumerate(getattr(spec, direction, ())):
            if getattr(rule, "http", None) is not None:
                yield Problem(object, f"spec.{direction}[{index}].http", _FOR_PROXIES)


def _of_names(resource: Resource) -> Iterator[Problem]:
    name = resource.metadata.name
    if isinstance(resource, BGPConfiguration) and name != "default" and not name.startswith("node."):
        remedy = "call it default, or node.NAME for one node"
        yield Problem(str(resource.key), "metadata.name", "is a name that nothing looks at", remedy)


def _of_hosts(resource: Resource) -> Iterator[Problem]:
    if not isinstance(resource, HostEndpoint):
        return
    try:
        code_point(resource.metadata.annotations.get(CODE_POINT))
    except ValueError as error:
        yield Problem(str(resource.key), f"metadata.annotations[{CODE_POINT}]", str(error))


def _of_backends(resource: Resource) -> Iterator[Problem]:
    if isinstance(resource, Service):
        label = f"{SERVICE_LABEL}: {resource.metadata.name}"
        problem = f"its backends are those of EndpointSlices labelled {label}; its selector makes none"
        yield Problem(str(resource.key), "", problem)
    if isinstance(resource, EndpointSlice) and not resource.metadata.labels.get(SERVICE_LABEL):
        yield Problem(str(resource.key), "", f"belongs to no service, as it lacks the label {SERVICE_LABEL}")


def _of_settings(resource: Resource) -> Iterator[Problem]:
    if not isinstance(resource, FelixConfiguration):
        return
    for field, reason in UNUSED.items():
        value = getattr(resource.spec, field)
        if value not in (None, "", ()) and value != FELIX_DEFAULTS.get(field):
            problem = f"is stored, but not carried out: {reason}"
            yield Problem(str(resource.key), f"spec.{stored_name(field)}", problem)
