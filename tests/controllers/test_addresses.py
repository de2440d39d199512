"""The controller of addresses on real records."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from tortie.api.codec import decode_value, encode
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node, NodeSpec, NodeStatus
from tortie.api.resource import Metadata, Resource
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.controllers.addresses import AddressController
from tortie.controllers.judgement import GRACE
from tortie.controllers.metrics import registry
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.testimony import KernelAddresses, key_of_node, read_testimonies, write_testimony
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest


class SetClock:
    def __init__(self) -> None:
        self.time = 1_787_475_731.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class World:
    """A cluster of one node, whose controller leads as long as `leads` says so."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.datastore = EmbeddedDatastore.open_memory()
        self.allocator = Allocator(self.datastore, self.clock, random.Random(1))
        self.leads = True
        self.controller = AddressController(self.datastore, self.clock, lambda: self.leads)

    async def apply(self, resource: Resource) -> None:
        await self.datastore.put(resource_key(resource.key), encode(resource))

    async def take(self, handle: str) -> str:
        request = AssignRequest(node="n1", num4=1, handle=handle, attributes={"node": "n1", "namespace": "shop"})
        return (await self.allocator.auto_assign(request)).v4[0].text

    async def use(self, name: str, address: str) -> None:
        spec = WorkloadEndpointSpec(orchestrator="k8s", node="n1", pod=name, ip_networks=(f"{address}/32",))
        await self.apply(WorkloadEndpoint(metadata=Metadata(name=name, namespace="shop"), spec=spec))

    async def check(self, *in_kernel: str) -> dict[str, str]:
        """What one check decides, when the node says just before it what its kernel has."""
        await write_testimony(self.datastore, "n1", frozenset(in_kernel))
        checked = await self.controller.check()
        assert not checked.problem
        return {verdict.leak.address: verdict.reason for verdict in checked.verdicts}

    async def held(self, handle: str) -> list[str]:
        return [address.text for address in await self.allocator.addresses_of(handle)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.apply(Node(metadata=Metadata(name="n1"), spec=NodeSpec(), status=NodeStatus()))
    await world.apply(IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/24", block_size=28)))
    yield world
    await world.datastore.close()


async def test_a_leak_is_freed_after_grace_and_both_proofs_and_what_is_used_never(world: World) -> None:
    used, leaked = await world.take("net.used"), await world.take("net.gone")
    await world.use("web", used)
    assert list(await world.check()) == [leaked]
    world.clock.time += GRACE - 1
    await world.check()
    assert await world.held("net.gone") == [leaked]
    world.clock.time += 1
    verdicts = await world.check()
    assert verdicts[leaked].startswith("no endpoint uses any address of handle net.gone for 900 s")
    assert await world.held("net.gone") == []
    assert await world.held("net.used") == [used]
    assert world.controller.checked.freed == 1


async def test_what_a_kernel_has_stays_held_however_long_no_endpoint_names_it(world: World) -> None:
    leaked = await world.take("net.running")
    for _ in range(5):
        assert await world.check(leaked) == {leaked: "the kernel of node n1 still has it"}
        world.clock.time += GRACE
    assert await world.held("net.running") == [leaked]
    await world.check()
    world.clock.time += GRACE - 1
    await world.check()
    assert await world.held("net.running") == [leaked]


async def test_an_address_taken_back_into_use_in_the_last_moment_is_kept(world: World) -> None:
    leaked = await world.take("net.c1")
    await world.check()
    world.clock.time += GRACE
    look = world.controller._look

    async def look_slowly() -> Any:
        seen = await look()
        await world.use("web", leaked)
        return seen

    world.controller._look = look_slowly  # type: ignore[method-assign]
    await world.check()
    assert await world.held("net.c1") == [leaked]


async def test_who_no_longer_leads_frees_nothing(world: World) -> None:
    leaked = await world.take("net.c1")
    await world.check()
    world.clock.time += GRACE
    world.leads = False
    await world.check()
    assert await world.held("net.c1") == [leaked]


async def test_while_a_user_cannot_be_read_nothing_is_freed_and_that_is_said(world: World) -> None:
    leaked = await world.take("net.c1")
    await world.check()
    world.clock.time += GRACE
    await world.datastore.put("/calico/resources/v3/projectcalico.org/workloadendpoints/shop/x", b"{")
    checked = await world.controller.check()
    assert "nobody can tell which addresses it uses" in checked.problem
    assert await world.held("net.c1") == [leaked]


async def test_a_dry_run_frees_nothing(world: World) -> None:
    leaked = await world.take("net.c1")
    world.controller = AddressController(world.datastore, world.clock, lambda: True, dry_run=True)
    await world.check()
    world.clock.time += GRACE
    assert "and the kernel of node n1 does not have it" in (await world.check())[leaked]
    assert await world.held("net.c1") == [leaked]


async def test_only_what_two_checks_find_is_a_finding(world: World) -> None:
    await world.take("net.c1")
    await world.check()
    assert world.controller.checked.findings == ()
    await world.check()
    assert [finding.kind for finding in world.controller.checked.findings] == ["leaked-address"]


async def test_metrics_tell_use_of_pools_nodes_and_namespaces(world: World) -> None:
    await world.use("web", await world.take("net.c1"))
    found = registry(lambda: world.controller.checked, lambda: world.leads)
    assert b"tortie_ipam_checks_total 0.0" in generate_latest(found)
    await world.check()
    text = generate_latest(found).decode()
    for line in (
        'tortie_ipam_pool_size_addresses{ippool="pool"} 256.0',
        'tortie_ipam_pool_in_use_addresses{ippool="pool"} 1.0',
        'tortie_ipam_node_in_use_addresses{family="4",node="n1"} 1.0',
        'tortie_ipam_namespace_in_use_addresses{family="4",namespace="shop"} 1.0',
        'tortie_ipam_findings{kind="leaked-address"} 0.0',
        "tortie_controllers_leading 1.0",
    ):
        assert line in text


async def test_a_statement_that_cannot_be_read_is_none(world: World) -> None:
    await write_testimony(world.datastore, "n1", frozenset({"10.0.0.1"}))
    stored = await world.datastore.get(key_of_node("n1"))
    assert stored is not None
    assert decode_value(KernelAddresses, stored.value).addresses == {"10.0.0.1"}
    await world.datastore.put(key_of_node("n2"), b"{")
    assert list(await read_testimonies(world.datastore)) == ["n1"]
