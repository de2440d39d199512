"""The feed: nothing reaches the kernel before everything is known, and `programmed` means what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tortie.agent.feed import Feed
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.clock import SystemClock
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.target import Plan
from tortie.datastore.stream import Change, StreamBatch
from tortie.desired.endpoints import EndpointId

IDENTITY = EndpointId("default", "n1-cni-c1-eth0")
KEY = ResourceKey("WorkloadEndpoint", "default", "n1-cni-c1-eth0")


class Stream:
    """Batches that the test gives."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[StreamBatch] = asyncio.Queue()

    async def batches(self) -> AsyncIterator[StreamBatch]:
        while True:
            yield await self._queue.get()

    def tell(self, *changes: Change, in_sync: bool = True) -> None:
        self._queue.put_nowait(StreamBatch(changes, in_sync))


class Recording:
    """A target that notes the endpoints it was asked for, and lets the test say what waits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[set[EndpointId]] = []
        self.waiting: dict[str, str] = {}

    def read(self) -> None:
        return None

    def plan(self, desired: Any, actual: None, changes: Any) -> Plan[str]:
        self.seen.append(set(desired.endpoints))
        gone = [] if self.waiting else [str(IDENTITY), "10.65.0.1/32"]
        return Plan([], dict(self.waiting), gone)

    def apply(self, operations: Any) -> None: ...

    def applied(self, actual: None, plan: Plan[str]) -> None:
        return None


class Rig:
    """A feed between a stream and targets of the test."""

    def __init__(self) -> None:
        self.stream: Any = Stream()
        self.targets: list[Any] = [Recording(name) for name in ("nftables", "interfaces", "routes")]
        self.executor = ThreadPoolExecutor(1)
        self.reconciler = Reconciler(self.targets, self.executor, SystemClock())
        self.feed = Feed(self.stream, Calculation("n1"), self.reconciler, SystemClock())

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0.001)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    one = Rig()
    tasks = [asyncio.create_task(one.feed.run()), asyncio.create_task(one.reconciler.run())]
    yield one
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    one.executor.shutdown()


def endpoint(revision: int, node: str = "n1") -> Change:
    spec = WorkloadEndpointSpec(
        orchestrator="cni",
        node=node,
        container_id="c1",
        endpoint="eth0",
        interface_name="cali1",
        ip_networks=("10.65.0.1/32",),
    )
    metadata = Metadata(name=KEY.name, namespace=KEY.namespace, resource_version=str(revision))
    return Change(KEY, WorkloadEndpoint(metadata=metadata, spec=spec))


async def test_nothing_is_read_or_written_before_the_datastore_is_in_sync(rig: Rig) -> None:
    rig.stream.tell(endpoint(1), in_sync=False)
    await rig.settled()
    assert not rig.feed.synchronised.is_set()
    assert rig.targets[0].seen == []
    rig.stream.tell()
    await rig.feed.synchronised.wait()
    await rig.feed.programmed(IDENTITY, 1)
    assert rig.targets[0].seen[0] == {IDENTITY}


async def test_a_cluster_without_anything_is_programmed_too_before_it_counts_as_done(rig: Rig) -> None:
    rig.stream.tell()
    await rig.feed.synchronised.wait()
    await rig.reconciler.wait_applied(rig.reconciler.generation)
    assert all(target.seen for target in rig.targets)


async def test_an_endpoint_counts_as_programmed_only_from_its_own_revision_on(rig: Rig) -> None:
    """A new sandbox may have the very addresses of the old one; what stands may be the old one's policy."""
    rig.stream.tell(endpoint(5))
    await rig.feed.programmed(IDENTITY, 5)
    waiting = asyncio.create_task(rig.feed.programmed(IDENTITY, 6))
    await rig.settled()
    assert not waiting.done()
    rig.stream.tell(endpoint(7))
    await waiting


async def test_endpoints_of_other_nodes_and_deleted_ones_are_not_programmed_here(rig: Rig) -> None:
    rig.stream.tell(endpoint(5, node="n2"))
    waiting = asyncio.create_task(rig.feed.programmed(IDENTITY, 5))
    await rig.settled()
    assert not waiting.done()
    rig.stream.tell(endpoint(6))
    await waiting
    rig.stream.tell(Change(KEY, None))
    await rig.settled()
    late = asyncio.create_task(rig.feed.programmed(IDENTITY, 6))
    await rig.settled()
    assert not late.done()
    late.cancel()


@pytest.mark.parametrize("waits", [str(IDENTITY), "10.65.0.1/32"])
async def test_what_waits_for_the_kernels_word_of_the_interface_is_waited_for(rig: Rig, waits: str) -> None:
    rig.targets[2].waiting = {waits: "interface cali1 does not exist"}
    rig.stream.tell(endpoint(1))
    waiting = asyncio.create_task(rig.feed.programmed(IDENTITY, 1))
    await rig.settled()
    assert not waiting.done()
    rig.targets[2].waiting = {}
    rig.reconciler.interface_changed("cali1")
    await waiting


async def test_what_others_wait_for_holds_up_nobody(rig: Rig) -> None:
    rig.targets[2].waiting = {"10.65.0.99/32": "interface cali12 does not exist"}
    rig.stream.tell(endpoint(1))
    await rig.feed.programmed(IDENTITY, 1)
