"""Addresses that are nobody's come back; those that a kernel still has, or that nobody can speak for, never do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.clock import SystemClock
from tortie.controllers.addresses import AddressController
from tortie.datastore.contract import Datastore
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.testimony import key_of_node
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest
from tortie.lab.cluster import location
from tortie.selector.check import selector_problem

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(180)]

GRACE = 0.5


class Office:
    """Address records of a lab, and a controller that remembers whom it suspects."""

    def __init__(self, world: World, datastore: Datastore) -> None:
        self.world = world
        self.datastore = datastore
        self.allocator = Allocator(datastore, SystemClock(), random.Random(1))
        self.controller = AddressController(datastore, SystemClock(), lambda: True, GRACE)

    async def judged(self) -> dict[str, str]:
        """What is said of each suspected address, at last when the time of grace is over."""
        before = await self.controller.check()
        await asyncio.sleep(GRACE * 1.2)
        after = await self.controller.check()
        return {one.leak.address: one.reason for one in (*before.verdicts, *after.verdicts)}

    async def take(self, handle: str, node: str) -> str:
        """An address for a container that never comes to be."""
        request = AssignRequest(node=node, num4=1, handle=handle, attributes={"node": node})
        return (await self.allocator.auto_assign(request)).v4[0].text

    async def forget(self, workload: str) -> str:
        """Delete the record of a workload that lives on; its address."""
        store, address = ResourceStore(self.datastore, SystemClock(), selector_problem), self.world.address(workload)
        for one in cast("list[WorkloadEndpoint]", await store.list("WorkloadEndpoint")):
            if f"{address}/32" in one.spec.ip_networks:
                await store.delete(one.key)
        return address

    async def said(self, node: str) -> int:
        """The revision of what a node last said; 0 when nothing stands."""
        found = await self.datastore.get(key_of_node(node))
        return found.revision if found else 0

    async def revive(self, node: str) -> None:
        """Start the agent, and wait until it has spoken."""
        before = await self.said(node)
        self.world.start(node)
        for _ in range(600):
            if await self.said(node) != before:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{node} does not speak")


@pytest.fixture
async def office(etcd_world: World) -> AsyncIterator[Office]:
    datastore = await open_datastore(location(etcd_world.lab.topology))
    yield Office(etcd_world, datastore)
    await datastore.close()


async def test_an_address_that_nobody_has_is_freed_once_its_node_has_spoken_anew(office: Office) -> None:
    address = await office.take("gone", "h1")
    assert await office.judged() == {address: "node h1 has not said anew what its kernel has"}
    office.world.kill("h1")
    await office.revive("h1")
    reason = (await office.judged())[address]
    assert reason.startswith("no endpoint uses any address of handle gone for ")
    assert reason.endswith("and the kernel of node h1 does not have it")
    assert await office.allocator.addresses_of("gone") == ()
    assert await office.judged() == {}


async def test_a_workload_without_a_record_keeps_its_address_as_long_as_a_kernel_has_it(office: Office) -> None:
    office.world.kill("h1")
    address = await office.forget("leaver")
    assert (await office.judged())[address] == "the kernel of node h1 still has it"
    await office.datastore.delete(key_of_node("h1"))
    silent = "node h1 does not say what its kernel has: its agent is away, too old, or not of this program"
    assert (await office.judged())[address] == silent
    await office.revive("h1")
    gone = f"{address} dev"
    office.world.until(lambda: gone not in office.world.run("ip", "route"), "the agent takes the route away")
    office.world.kill("h1")
    await office.revive("h1")
    assert (await office.judged())[address].endswith("and the kernel of node h1 does not have it")
    assert await office.judged() == {}
