"""Kubernetes Pod to the WorkloadEndpoint that stands for it."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.api.endpointnames import host_interface_name, name_of_workload_endpoint
from tortie.api.pod import Pod
from tortie.api.resource import Metadata
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.errors import InvalidResource, Problem
from tortie.convert import podaddresses
from tortie.convert.converted import Converted
from tortie.convert.namespace import PROFILE_PREFIX as NAMESPACE_PROFILE
from tortie.convert.qos import limits
from tortie.convert.serviceaccount import PROFILE_PREFIX as ACCOUNT_PROFILE
from tortie.selector.endpointlabels import KUBERNETES, ORCHESTRATOR, pod_labels
from tortie.selector.scoping import NAMESPACE

CONTAINER = "cni.projectcalico.org/containerID"
"""The annotation with the container whose network the pod has."""

PASSED_ON = ("k8s.v1.cni.cncf.io/network-status",)
"""Annotations that the endpoint has too."""

INTERFACE = "eth0"
"""Of a pod's interfaces, the one that policy governs."""

PROTOCOLS = ("TCP", "UDP", "SCTP")
"""Those of ports; one of another protocol is left out."""


def workload_endpoint(pod: Pod, interface_prefix: str = "cali") -> Converted | None:
    """The endpoint of a pod; None for one in its host's network, or on no host yet.

    What says too much or cannot be read among its annotations is told, and as if it were not there.

    Raises:
        InvalidResource: an address cannot be read, or the pod cannot be named.
    """
    if pod.spec.host_network or not pod.spec.node_name:
        return None
    warnings: list[str] = []
    try:
        spec = _spec(pod, interface_prefix, warnings)
        name = name_of_workload_endpoint(spec)
    except ValueError as error:
        raise InvalidResource(Problem(str(pod.key), "", str(error), "correct it")) from error
    told = tuple(Problem(str(pod.key), "metadata.annotations", warning) for warning in warnings)
    return Converted(WorkloadEndpoint(metadata=_metadata(pod, name), spec=spec), told)


def _metadata(pod: Pod, name: str) -> Metadata:
    given = pod.metadata
    labels = {ORCHESTRATOR: KUBERNETES, NAMESPACE: given.namespace}
    return Metadata(
        name=name,
        namespace=given.namespace,
        generate_name=given.generate_name,
        uid=given.uid,
        resource_version=given.resource_version,
        creation_timestamp=given.creation_timestamp,
        labels=pod_labels(given.labels, pod.spec.service_account_name) | labels,
        annotations={key: given.annotations[key] for key in PASSED_ON if key in given.annotations},
    )


def _spec(pod: Pod, interface_prefix: str, warnings: list[str]) -> WorkloadEndpointSpec:
    namespace, account = pod.metadata.namespace, pod.spec.service_account_name
    own = podaddresses.addresses(pod)
    wanted = limits(pod.metadata.annotations)
    spec = WorkloadEndpointSpec(
        orchestrator=KUBERNETES,
        node=pod.spec.node_name,
        container_id=pod.metadata.annotations.get(CONTAINER, ""),
        pod=pod.metadata.name,
        endpoint=INTERFACE,
        service_account_name=account,
        ip_networks=tuple(map(str, own)),
        ip_nats=podaddresses.floating(pod, own, warnings),
        profiles=(NAMESPACE_PROFILE + namespace, *([f"{ACCOUNT_PROFILE}{namespace}.{account}"] if account else [])),
        interface_name=host_interface_name(interface_prefix, namespace, pod.metadata.name, ""),
        ports=tuple(ports(pod)),
        allow_spoofed_source_prefixes=podaddresses.spoofed(pod, warnings),
        qos_controls=wanted.controls,
    )
    warnings += wanted.warnings
    return spec


def ports(pod: Pod) -> Iterator[EndpointPort]:
    """Ports of all containers that have a name or are open on the host too. One that cannot be is left out."""
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        for port in container.ports:
            protocol = port.protocol or "TCP"
            if (port.name or port.host_port) and protocol in PROTOCOLS and 0 < port.container_port < 1 << 16:
                yield EndpointPort(port.name, protocol, port.container_port, port.host_port, port.host_ip)
