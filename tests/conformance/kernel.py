"""Reachability and probe cases as real packets: the pods of clusters are workloads of a lab of three hosts.

Imports its neighbours, so this directory must be on the module path. Only combined verdicts (`expect`)
are asked for: a packet that arrives does not tell the directions apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import reachability

from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.assembly import PLUGIN
from tortie.lab.cluster import POOLS, initial_resources, write
from tortie.lab.lab import Lab
from tortie.lab.place import Place
from tortie.lab.probe.matrix import eventually
from tortie.lab.probe.model import Probe, Transport, Verdict
from tortie.lab.services import AgentServices, cni_config
from tortie.lab.sessions import wait_established
from tortie.lab.state import Attachment
from tortie.lab.topology import Host, Topology, Workload, simple
from tortie.lab.workload import CniAttacher
from tortie.selector.check import selector_problem

Case = Mapping[str, Any]
Pod = Mapping[str, Any]
Clusters = Mapping[str, Mapping[str, Any]]

HOSTS = 3
POLICIES = ("NetworkPolicy", "GlobalNetworkPolicy")
POOL_LENGTH = {4: 16, 6: 64}
MARKS = {Verdict.ALLOWED: ".", Verdict.DENIED: "X", Verdict.REFUSED: "refused"}
WITHIN = 5.0
"""Seconds that a change of policy may take until it shows."""

SETTLING = 0.15
"""Seconds after which agents have long heard of a change: an answer right after it may be owed to what was before."""


def workload_name(pod: Pod) -> str:
    """The pod's name in the lab, where names are unique across namespaces."""
    return f"{pod['namespace']}-{pod['name']}"


def groups(cases: Sequence[Case], clusters: Clusters) -> list[list[Case]]:
    """The cases that one lab can serve, lab by lab: no two of its pods share an address, no pod has two."""
    labs: list[tuple[dict[str, str], list[Case]]] = []
    for case in cases:
        wanted = {workload_name(pod): pod["ip"] for pod in reachability.workloads(clusters[case["cluster"]])}
        fitting = next((one for one in labs if _fit(one[0] | wanted, one[0], wanted)), None)
        if fitting is None:
            labs.append((wanted, [case]))
        else:
            fitting[0].update(wanted)
            fitting[1].append(case)
    return [served for _, served in labs]


def _fit(union: Mapping[str, str], *parts: Mapping[str, str]) -> bool:
    agree = all(union[name] == address for part in parts for name, address in part.items())
    return agree and len(set(union.values())) == len(union)


@contextlib.contextmanager
def laboratory(name: str, cases: Iterable[Case], clusters: Clusters) -> Iterator[Lab]:
    """A lab with every pod of the cases, up with routes everywhere; taken down whatever happens."""
    pods = {workload_name(pod): pod for case in cases for pod in reachability.workloads(clusters[case["cluster"]])}
    workloads = tuple(
        Workload(each, f"h{number % HOSTS + 1}", pod["namespace"]) for number, (each, pod) in enumerate(pods.items())
    )
    topology = msgspec.structs.replace(simple(name, HOSTS, 0), workloads=workloads)
    addresses = {each: pod["ip"] for each, pod in pods.items()}
    lab = Lab(topology, _Services(topology, _pools(addresses.values())), _Attacher(topology, addresses))
    lab.down()
    try:
        lab.up()
        wait_established(lab)
        yield lab
    finally:
        lab.down()


def run_case(lab: Lab, case: Case, clusters: Clusters, within: float = WITHIN) -> list[str]:
    """What differs from the expectation, one line for each pair of pods and port; empty when all is well.

    Args:
        within: seconds until the expectation must be met.
    """
    cluster = clusters[case["cluster"]]
    asyncio.run(_arrange(lab.topology, case, cluster))
    hosts = hosts_of(lab.topology, cluster)
    expected = _expected(case, cluster["pods"], hosts)
    for place in (*map(workload_name, reachability.workloads(cluster)), *(host.name for host in hosts.values())):
        lab.prober.listen(place, *{probe.port for probe in expected})
    eventually(lab.prober, {probe: mark == "." for probe, mark in expected.items()}, within)
    time.sleep(SETTLING)
    # All pairs once more: what came true while the kernel was being changed must stay so.
    return [
        f"{outcome.probe}: expected {expected[outcome.probe]}, found {MARKS[outcome.verdict]}"
        for outcome in lab.prober.run(list(expected))
        if MARKS[outcome.verdict] != expected[outcome.probe]
    ]


def hosts_of(topology: Topology, cluster: Mapping[str, Any]) -> dict[str, Host]:
    """The hosts of the lab that stand for the nodes of a cluster, by the addresses that these have there."""
    return {node["ip"]: host for node, host in zip(cluster.get("nodes") or (), topology.hosts, strict=False)}


class _Services(AgentServices):
    """Agents and BIRD, in a datastore that holds the pods' address pools from the start."""

    def __init__(self, topology: Topology, pools: Iterable[Resource]) -> None:
        super().__init__(topology)
        self._contents = [*initial_resources(topology), *pools]

    def start(self, place: Place) -> None:
        if not Path(self._topology.datastore).exists():
            asyncio.run(write(self._topology, self._contents))
        super().start(place)


class _Attacher:
    """The CNI plugin, asked for the address that each pod has."""

    def __init__(self, topology: Topology, addresses: Mapping[str, str]) -> None:
        self._plugin = CniAttacher(PLUGIN, lambda host: cni_config(topology, host))
        self._addresses = addresses

    def attach(self, topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> Attachment:
        return self._plugin.attach(topology, workload, host, addresses or (self._addresses[workload.name],))

    def detach(self, topology: Topology, workload: Workload, attachment: Attachment) -> None:
        self._plugin.detach(topology, workload, attachment)


def _pools(addresses: Iterable[str]) -> list[Resource]:
    """Pools for addresses that no pool of every lab holds."""
    there = [Cidr.parse(text) for text in POOLS.values()]
    hosts = [each for each in map(Cidr.host, addresses) if not any(pool.contains(each) for pool in there)]
    networks = sorted({_network(each) for each in hosts})
    return [
        IPPool(metadata=Metadata(name=f"pods{number}"), spec=IPPoolSpec(cidr=str(network)))
        for number, network in enumerate(networks)
    ]


def _network(address: Cidr) -> Cidr:
    length = POOL_LENGTH[address.family]
    mask = (1 << address.bits) - (1 << (address.bits - length))
    return Cidr(address.family, address.address & mask, length)


async def _arrange(topology: Topology, case: Case, cluster: Mapping[str, Any]) -> None:
    """Make the datastore what the case says: labels, ports, policies. Pods that it does not know stay as they are."""
    datastore = await EmbeddedDatastore.open(Path(topology.datastore))
    try:
        store = ResourceStore(datastore, SystemClock(), selector_problem)
        pods = {workload_name(pod): pod for pod in reachability.workloads(cluster)}
        for resource in await store.list("WorkloadEndpoint"):
            if isinstance(resource, WorkloadEndpoint) and resource.spec.pod in pods:
                await store.apply(_as_said(resource, pods[resource.spec.pod]))
        for namespace in reachability.namespaces(cluster):
            await store.apply(namespace)
        for node, host in zip(reachability.nodes(cluster), topology.hosts, strict=False):
            known = await store.get(ResourceKey("Node", "", host.name))
            await store.apply(
                msgspec.structs.replace(known, metadata=Metadata(name=host.name, labels=node.metadata.labels))
            )
        await _replace_policies(store, reachability.policies(case))
    finally:
        await datastore.close()


def _as_said(endpoint: WorkloadEndpoint, pod: Pod) -> WorkloadEndpoint:
    kubernetes = {"projectcalico.org/namespace": pod["namespace"], "projectcalico.org/orchestrator": "k8s"}
    metadata = msgspec.structs.replace(endpoint.metadata, labels={**(pod.get("labels") or {}), **kubernetes})
    spec = msgspec.structs.replace(endpoint.spec, ports=reachability.ports(pod))
    return msgspec.structs.replace(endpoint, metadata=metadata, spec=spec)


async def _replace_policies(store: ResourceStore, wanted: Sequence[Resource]) -> None:
    for policy in wanted:
        await store.apply(policy)
    present = [policy.key for kind in POLICIES for policy in await store.list(kind)]
    for key in set(present) - {policy.key for policy in wanted}:
        await store.delete(key)


def _expected(case: Case, pods: Sequence[Pod], hosts: Mapping[str, Host]) -> dict[Probe, str]:
    """What is said of pods in the network of their node is asked of the host that stands for it."""
    return {
        _probe(service, source, _address(destination, hosts)): mark
        for field, service, source, destination, mark in reachability.cells(case, list(pods))
        if field == "expect"
    }


def _address(pod: Pod, hosts: Mapping[str, Host]) -> str:
    address: str = pod["ip"]
    return hosts[address].address(Cidr.host(address).family) if pod.get("hostNetwork") else address


def _probe(service: str, source: Pod, address: str) -> Probe:
    protocol, _, port = service.partition("/")
    return Probe(workload_name(source), address, Transport(protocol.lower()), int(port))
