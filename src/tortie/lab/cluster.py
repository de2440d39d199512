"""What a lab's datastore holds from the start: its hosts as Nodes, an address pool of each family, BGP settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node, NodeBGP, NodeSpec, NodeStatus
from tortie.api.resource import Metadata, Resource
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.convert.kubernetes import convert
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.location import Location
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.topology import Host, Topology
from tortie.selector.check import selector_problem

POOLS = {"pool4": "10.65.0.0/16", "pool6": "fd00:65::/64"}


def initial_resources(topology: Topology) -> list[Resource]:
    """Nodes, pools, BGP settings, and the namespaces of the workloads, of a new lab."""
    pools: list[Resource] = [
        IPPool(metadata=Metadata(name=name), spec=IPPoolSpec(cidr=cidr))
        for name, cidr in POOLS.items()
        if Cidr.parse(cidr).family in topology.families
    ]
    bgp = BGPConfiguration(
        metadata=Metadata(name="default"), spec=BGPConfigurationSpec(as_number=64512, node_to_node_mesh_enabled=True)
    )
    namespaces = sorted({workload.namespace for workload in topology.workloads})
    nodes = (_node(topology, host) for host in topology.hosts)
    return [bgp, *pools, *nodes, *(_profile(namespace) for namespace in namespaces)]


def location(topology: Topology) -> Location:
    """Where the lab's datastore is, for this machine."""
    return EtcdSettings(endpoints=topology.etcd_urls) if topology.etcd else Path(topology.datastore)


async def write(topology: Topology, resources: Iterable[Resource]) -> None:
    """Apply resources to the lab's datastore, making the file if there is none."""
    datastore = await open_datastore(location(topology))
    try:
        store = ResourceStore(datastore, SystemClock(), selector_problem)
        await store.ensure_initialized()
        for resource in resources:
            await store.apply(resource)
    finally:
        await datastore.close()


def _node(topology: Topology, host: Host) -> Node:
    return Node(
        metadata=Metadata(name=host.name),
        spec=NodeSpec(
            bgp=NodeBGP(ipv4_address=_with_length(topology, host, 4), ipv6_address=_with_length(topology, host, 6))
        ),
        status=NodeStatus(),
    )


def _profile(namespace: str) -> Resource:
    """As Kubernetes would tell of the namespace, before anyone has labelled it."""
    return convert({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).resource


def _with_length(topology: Topology, host: Host, family: int) -> str:
    address = host.address(family)
    return f"{address}/{topology.subnet(address).length}" if address else ""
