"""Deleting nodes and pools with what belongs to them."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.bgp import BGPConfiguration, BGPPeer, BGPPeerSpec
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.errors import NotFound
from tortie.datastore.resources import ResourceStore
from tortie.ipam.removal import remove_node, remove_pool
from tortie.ipam.requests import AssignRequest
from tortie.selector.check import selector_problem

Cluster = Any


def resources(cluster: Cluster) -> ResourceStore:
    return ResourceStore(cluster.datastore, cluster.clock, selector_problem)


def endpoint(node: str, address: str) -> WorkloadEndpoint:
    spec = WorkloadEndpointSpec(
        orchestrator="k8s",
        node=node,
        pod=f"on-{node}",
        endpoint="eth0",
        interface_name=f"cali{node}",
        ip_networks=(f"{address}/32",),
    )
    return WorkloadEndpoint(metadata=Metadata(name="", namespace="shop"), spec=spec)


async def assigned(cluster: Cluster, node: str) -> str:
    request = AssignRequest(node=node, num4=1, handle=f"net.{node}")
    return str((await cluster.allocator.auto_assign(request)).v4[0].text)


async def test_a_node_goes_with_its_endpoints_addresses_blocks_and_settings(small: Cluster) -> None:
    store = resources(small)
    for node in "ab":
        await store.apply(endpoint(node, await assigned(small, node)))
        await store.apply(
            BGPPeer(metadata=Metadata(name=f"peer-{node}"), spec=BGPPeerSpec(node=node, peer_ip="192.0.2.1"))
        )
        await store.apply(BGPConfiguration(metadata=Metadata(name=f"node.{node}")))
        await store.apply(FelixConfiguration(metadata=Metadata(name=f"node.{node}")))
        host_endpoint = HostEndpointSpec(node=node, interface_name="eth0")
        await store.apply(HostEndpoint(metadata=Metadata(name=f"{node}-eth0"), spec=host_endpoint))

    await remove_node(small.datastore, store, small.allocator, "a")

    for kind in ("Node", "WorkloadEndpoint", "BGPPeer", "BGPConfiguration", "FelixConfiguration", "HostEndpoint"):
        left = [str(one.key) for one in await store.list(kind)]
        assert len(left) == 1, left
        assert "b" in left[0].split()[1]
    snapshot = await small.snapshot()
    assert {owner for owner, _ in snapshot.claims} == {"host:b"}
    assert set(snapshot.handles) == {"net.b"}
    with pytest.raises(NotFound):
        await remove_node(small.datastore, store, small.allocator, "a")


async def test_a_removal_that_was_interrupted_is_ended_by_the_next(small: Cluster) -> None:
    store = resources(small)
    await store.apply(endpoint("a", await assigned(small, "a")))
    await store.delete((await store.list("WorkloadEndpoint"))[0].key)
    await small.allocator.release_by_handle("net.a")
    await remove_node(small.datastore, store, small.allocator, "a")
    assert await store.get(ResourceKey("Node", "", "a")) is None


async def test_a_pool_gives_up_its_blocks_and_leaves_held_addresses_alone(small: Cluster) -> None:
    store = resources(small)
    address = await assigned(small, "a")
    await remove_pool(store, small.allocator, small.clock, ResourceKey("IPPool", "", "small"))
    assert await store.list("IPPool") == []
    snapshot = await small.snapshot()
    assert snapshot.claims == {}
    assert [block.affinity for block in snapshot.blocks.values()] == [None]
    assert (await small.allocator.addresses_of("net.a"))[0].text == address
    with pytest.raises(NotFound):
        await remove_pool(store, small.allocator, small.clock, ResourceKey("IPPool", "", "small"))
