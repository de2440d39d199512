"""The WorkloadEndpoint and the profile that stand for what a runtime attaches, and their names. Pure."""

from __future__ import annotations

import hashlib

from tortie.api.endpointnames import host_interface_name, workload_endpoint_name
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.cni.errors import INVALID_NETWORK_CONFIG, CniError
from tortie.cni.request import Request

NETWORK = "cni.tortie/network"
"""Annotation of an endpoint: the network of the runtime that it belongs to."""

FIRST_INTERFACE = "eth0"

_NAMESPACE = "projectcalico.org/namespace"
_ORCHESTRATOR = "projectcalico.org/orchestrator"


class Names:
    """What a node calls the endpoints of its workloads.

    Args:
        node: its name.
        prefix: how names of workload interfaces begin.
    """

    def __init__(self, node: str, prefix: str) -> None:
        self._node = node
        self._prefix = prefix

    def require(self, node: str) -> None:
        """Raises CniError: a configuration is for another node; an empty name is any."""
        if node not in ("", self._node):
            raise CniError(INVALID_NETWORK_CONFIG, f"the configuration is for node {node}", f"this one is {self._node}")

    def key(self, request: Request) -> ResourceKey:
        """Of the endpoint."""
        who = ("k8s", request.pod) if request.pod else ("cni", request.container_id)
        name = workload_endpoint_name(self._node, *who, request.interface)
        return ResourceKey(WorkloadEndpoint.kind, request.namespace or "default", name)

    def host_interface(self, request: Request) -> str:
        """Of the host's end: a second interface of a workload has one of its own."""
        usual = host_interface_name(self._prefix, request.namespace, request.pod, request.container_id)
        if request.interface == FIRST_INTERFACE:
            return usual
        known = f"{usual} {request.interface}".encode()
        return self._prefix + hashlib.sha1(known, usedforsecurity=False).hexdigest()[:11]

    def endpoint(
        self, request: Request, labels: dict[str, str], addresses: tuple[Cidr, ...], mac: str
    ) -> WorkloadEndpoint:
        """What is written when a workload is wired."""
        key = self.key(request)
        orchestrator = "k8s" if request.pod else "cni"
        return WorkloadEndpoint(
            metadata=Metadata(
                name=key.name,
                namespace=key.namespace,
                labels=labels | {_NAMESPACE: key.namespace, _ORCHESTRATOR: orchestrator},
                annotations={NETWORK: request.config.name},
            ),
            spec=WorkloadEndpointSpec(
                orchestrator=orchestrator,
                node=self._node,
                container_id=request.container_id,
                pod=request.pod,
                endpoint=request.interface,
                ip_networks=tuple(str(address) for address in addresses),
                profiles=(f"kns.{key.namespace}" if request.pod else request.config.name,),
                interface_name=self.host_interface(request),
                mac=mac,
            ),
        )


def network_profile(name: str) -> Profile:
    """Outside Kubernetes each network has a profile of its name: its members may talk to each other."""
    return Profile(
        metadata=Metadata(name=name),
        spec=ProfileSpec(
            ingress=(Rule(action="Allow", source=EntityRule(selector=f"has({name})")),),
            egress=(Rule(action="Allow"),),
            labels_to_apply={name: ""},
        ),
    )
