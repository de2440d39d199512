"""Reachability and probe cases: Kubernetes policies in a cluster of pods, judged on the compiled form.

Loaded by path. `run_case` says for one case which pairs of pods come out otherwise than expected: a
packet must be allowed by what governs its sender's egress and by what governs its receiver's ingress.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tortie.api.node import Node, NodeAddress, NodeSpec, NodeStatus
from tortie.api.resource import Metadata, Resource
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.calculation.graph import Calculation
from tortie.calculation.protocols import protocol_number
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import Packet, evaluate
from tortie.convert.kubernetes import can_convert, convert
from tortie.desired.endpoints import EndpointId
from tortie.desired.policy import Action, Direction
from tortie.desired.state import DesiredState

NODE = "node"
SOURCE_PORT = 40000

Case = Mapping[str, Any]
Pod = Mapping[str, Any]


class Judge(msgspec.Struct):
    """One node with every pod of a cluster on it."""

    state: DesiredState
    sets: SetIndex
    known: dict[tuple[EndpointId, EndpointId, str, Direction], bool] = {}

    def allows(self, source: Pod, destination: Pod, service: str, direction: Direction) -> bool:
        """Whether one direction lets `PROTOCOL/PORT` pass from pod to pod; a node's own network is not policed."""
        if (source if direction is Direction.EGRESS else destination).get("hostNetwork"):
            return True
        key = (_id(source), _id(destination), service, direction)
        if key not in self.known:
            self.known[key] = self._evaluate(key, _packet(source, destination, service))
        return self.known[key]

    def _evaluate(self, key: tuple[EndpointId, EndpointId, str, Direction], packet: Packet) -> bool:
        source, destination, _, direction = key
        if direction is Direction.EGRESS:
            policies = self.state.endpoints[source].egress
        else:
            policies = self.state.endpoints[destination].ingress
        return evaluate(policies, direction, packet, self.state.policies, self.sets).action is Action.ALLOW


def run_case(case: Case, clusters: Mapping[str, Any]) -> list[str]:
    """What differs from the expectation, one line for each pair of pods and port; empty when all is well.

    Raises:
        InvalidResource: a policy of a kind that cannot be converted.
    """
    cluster = clusters[case["cluster"]]
    judge = judge_of([*_cluster(cluster), *policies(case)])
    return [
        f"{service} {_id(source)} → {_id(destination)}, {field}: expected {expected}"
        for field, service, source, destination, expected in cells(case, cluster["pods"])
        if _verdict(judge, field, service, source, destination) != expected
    ]


def judge_of(resources: list[Resource]) -> Judge:
    """The node that results from resources."""
    calculation = Calculation(NODE)
    for resource in resources:
        calculation.update(resource.key, resource)
    calculation.set_in_sync()
    state = DesiredState()
    state.apply(calculation.flush())
    return Judge(state, SetIndex(state.sets.values()))


DIRECTIONS = {
    "expect": (Direction.EGRESS, Direction.INGRESS),
    "expectIngress": (Direction.INGRESS,),
    "expectEgress": (Direction.EGRESS,),
}
"""Which directions must allow, by field of a case."""

MARKS = {"allow": ".", "deny": "X"}
"""Expectations of probes, as tables spell them."""


def unsupported(case: Case) -> str:
    """Why a case cannot be judged, or nothing.

    What the core of an API asks for is always judged. An optional feature is not when conversion warns
    that a policy which needs it is carried out in part.
    """
    kinds = {policy["kind"] for policy in case["policies"] if not can_convert(policy)}
    if kinds:
        return f"needs {', '.join(sorted(kinds))}"
    if not case.get("features"):
        return ""
    return "; ".join(warning for policy in case["policies"] for warning in convert(policy).warnings)


def policies(case: Case) -> list[Resource]:
    """The policies of a case, as they are stored. Raises InvalidResource."""
    return [convert(policy).resource for policy in case["policies"]]


def cells(case: Case, pods: list[Pod]) -> Iterator[tuple[str, str, Pod, Pod, str]]:
    """What a case expects: field, `PROTOCOL/PORT`, source, destination, and `.` or `X`."""
    named = {f"{pod['namespace']}/{pod['name']}": pod for pod in pods}
    for probe in case.get("probes", ()):
        service = f"{probe['protocol']}/{probe['port']}"
        yield "expect", service, named[probe["from"]], named[probe["to"]], MARKS[probe["expect"]]
    for field in DIRECTIONS:
        for service, rows in case.get(field, {}).items():
            for source, row in zip(pods, rows, strict=True):
                for destination, expected in zip(pods, row, strict=True):
                    if expected != "-":
                        yield field, service, source, destination, expected


def _verdict(judge: Judge, field: str, service: str, source: Pod, destination: Pod) -> str:
    allowed = all(judge.allows(source, destination, service, direction) for direction in DIRECTIONS[field])
    return "." if allowed else "X"


def namespaces(cluster: Mapping[str, Any]) -> Iterator[Resource]:
    """The namespaces of a cluster, as they are stored."""
    for name, labels in cluster["namespaces"].items():
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        yield convert(namespace).resource


def nodes(cluster: Mapping[str, Any]) -> Iterator[Resource]:
    """The nodes of a cluster with their addresses, as they are stored."""
    for node in cluster.get("nodes") or ():
        addresses = (NodeAddress(address=node["ip"], type="InternalIP"),)
        metadata = Metadata(name=node["name"], labels=node["labels"])
        yield Node(metadata=metadata, spec=NodeSpec(addresses=addresses), status=NodeStatus())


def workloads(cluster: Mapping[str, Any]) -> list[Pod]:
    """The pods that have a network of their own."""
    return [pod for pod in cluster["pods"] if not pod.get("hostNetwork")]


def ports(pod: Pod) -> tuple[EndpointPort, ...]:
    """The ports that a pod names."""
    return tuple(
        EndpointPort(name=port.get("name", ""), protocol=port["protocol"], port=port["port"]) for port in pod["ports"]
    )


def _cluster(cluster: Mapping[str, Any]) -> Iterator[Resource]:
    yield from namespaces(cluster)
    yield from nodes(cluster)
    for index, pod in enumerate(workloads(cluster)):
        yield _endpoint(pod, index)


def _endpoint(pod: Pod, index: int) -> WorkloadEndpoint:
    address = Cidr.host(pod["ip"])
    spec = WorkloadEndpointSpec(
        orchestrator="k8s",
        node=NODE,
        interface_name=f"cali{index}",
        ip_networks=(str(address),),
        profiles=(f"kns.{pod['namespace']}",),
        ports=ports(pod),
    )
    labels = dict(pod.get("labels") or {})
    return WorkloadEndpoint(metadata=Metadata(name=pod["name"], namespace=pod["namespace"], labels=labels), spec=spec)


def _packet(source: Pod, destination: Pod, service: str) -> Packet:
    protocol, _, port = service.partition("/")
    sender, receiver = Cidr.host(source["ip"]), Cidr.host(destination["ip"])
    return Packet(
        family=receiver.family,
        protocol=protocol_number(protocol),
        source=sender.address,
        destination=receiver.address,
        source_port=SOURCE_PORT,
        destination_port=int(port),
    )


def _id(pod: Pod) -> EndpointId:
    return EndpointId(pod["namespace"], pod["name"])
