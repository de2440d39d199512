"""The feed: nothing reaches the kernel before everything is known, and `programmed` means what it says."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from tortie.agent.consent import LOCKED, UNWRITTEN, Consent
from tortie.agent.feed import Feed
from tortie.api.clusterinformation import ClusterInformation, ClusterInformationSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.clock import SystemClock
from tortie.base.errors import KernelError
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.target import Plan
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.migration import set_ready
from tortie.datastore.reading import INFORMATION
from tortie.datastore.resources import ResourceStore
from tortie.datastore.stream import Change, StreamBatch
from tortie.desired.endpoints import EndpointId
from tortie.selector.check import selector_problem

IDENTITY = EndpointId("default", "n1-cni-c1-eth0")
KEY = ResourceKey("WorkloadEndpoint", "default", "n1-cni-c1-eth0")


class Stream:
    """Batches that the test gives."""

    outage = ""
    listings = 1

    def __init__(self) -> None:
        self._queue: asyncio.Queue[StreamBatch] = asyncio.Queue()
        self.rejected: dict[ResourceKey, str] = {}

    async def batches(self) -> AsyncIterator[StreamBatch]:
        while True:
            yield await self._queue.get()

    def begin_again(self) -> None:
        self.listings += 1
        self.tell()

    def tell(self, *changes: Change, in_sync: bool = True) -> None:
        self._queue.put_nowait(StreamBatch(changes, in_sync))


class Recording:
    """A target that notes the endpoints it was asked for, and lets the test say what waits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[set[EndpointId]] = []
        self.waiting: dict[str, str] = {}
        self.refusal: KernelError | None = None
        self.refused = False

    def read(self) -> None:
        return None

    def plan(self, desired: Any, actual: None, changes: Any) -> Plan[str]:
        self.seen.append(set(desired.endpoints))
        gone = [] if self.waiting else [str(IDENTITY), "10.65.0.1/32"]
        return Plan(["something"] if self.refusal else [], dict(self.waiting), gone)

    def apply(self, operations: Any) -> None:
        if self.refusal:
            self.refused = True
            raise self.refusal

    def applied(self, actual: None, plan: Plan[str]) -> None:
        return None


class Rig:
    """A feed between a stream and targets of the test."""

    def __init__(self) -> None:
        self.stream: Any = Stream()
        self.targets: list[Any] = [Recording(name) for name in ("nftables", "interfaces", "routes")]
        self.executor = ThreadPoolExecutor(1)
        self.reconciler = Reconciler(self.targets, self.executor, SystemClock())
        self.datastore = EmbeddedDatastore.open_memory()
        self.store = ResourceStore(self.datastore, SystemClock(), selector_problem)
        self.consent = Consent(self.datastore, SystemClock(), is_needed=False)
        self.feed = Feed(self.stream, Calculation("n1"), self.reconciler, self.consent, SystemClock())

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
    await one.datastore.close()


def endpoint(revision: int, node: str = "n1", address: str = "10.65.0.1/32") -> Change:
    spec = WorkloadEndpointSpec(
        orchestrator="cni",
        node=node,
        container_id="c1",
        endpoint="eth0",
        interface_name="cali1",
        ip_networks=(address,),
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


def locked(is_ready: bool | None) -> Change:
    """What `tortie datastore migrate lock`, and `unlock`, tell."""
    spec = ClusterInformationSpec(datastore_ready=is_ready)
    return Change(INFORMATION, ClusterInformation(metadata=Metadata(name="default"), spec=spec))


async def test_while_the_datastore_is_locked_the_kernel_stays_as_it_was_and_catches_up_when_it_is_not(
    rig: Rig,
) -> None:
    rig.stream.tell(endpoint(5))
    await rig.feed.programmed(IDENTITY, 5)
    rig.stream.tell(locked(False))
    rig.stream.tell(Change(KEY, None))
    await rig.settled()
    assert rig.feed.closed == rig.feed.refusal == LOCKED
    assert rig.reconciler.desired.endpoints.keys() == {IDENTITY}
    rig.stream.tell(endpoint(8))
    late = asyncio.create_task(rig.feed.programmed(IDENTITY, 8))
    await rig.settled()
    assert not late.done(), "what was written while it was locked is not in the kernel"
    rig.stream.tell(locked(True))
    await late
    assert rig.feed.closed == ""


async def test_a_fresh_agent_programs_nothing_while_the_datastore_is_locked(rig: Rig) -> None:
    """Kinds are listed one by one: the lock may be set after its own kind was listed, and before others were."""
    await rig.store.create(cast(ClusterInformation, locked(False).value))
    rig.stream.tell(endpoint(5))
    await rig.settled()
    assert not rig.feed.synchronised.is_set()
    assert rig.targets[0].seen == []
    assert rig.feed.closed == LOCKED
    await set_ready(rig.store, True)
    rig.stream.tell(locked(True))
    await rig.feed.programmed(IDENTITY, 5)


async def test_what_was_brought_in_under_a_lock_is_read_as_a_whole_before_it_is_carried_out(rig: Rig) -> None:
    await rig.store.create(cast(ClusterInformation, locked(False).value))
    rig.stream.tell()
    await rig.settled()
    read_again: list[bool] = []
    rig.stream.begin_again = lambda: read_again.append(True)
    rig.stream.tell(locked(True), endpoint(5))
    await rig.settled()
    assert read_again == [True]
    assert rig.targets[0].seen == []
    assert rig.feed.closed == LOCKED
    rig.stream.tell()
    await rig.feed.programmed(IDENTITY, 5)
    assert read_again == [True]


async def test_what_says_whether_it_is_locked_is_not_guessed_when_it_cannot_be_read(rig: Rig) -> None:
    await rig.datastore.put(resource_key(INFORMATION), b"no JSON")
    rig.stream.tell(endpoint(5))
    await rig.settled()
    assert rig.feed.refusal.startswith("ClusterInformation default cannot be read (")
    assert "so nobody knows whether the datastore is locked: nothing is changed until it is written" in rig.feed.refusal
    assert rig.targets[0].seen == []
    await rig.store.apply(cast(ClusterInformation, locked(True).value))
    rig.stream.tell(locked(True))
    await rig.feed.programmed(IDENTITY, 5)
    rig.stream.rejected = {INFORMATION: "no JSON either"}
    rig.stream.tell(Change(INFORMATION, None))
    await rig.settled()
    assert "no JSON either" in rig.feed.refusal


async def test_where_it_is_needed_a_datastore_that_says_nothing_of_itself_changes_nothing(rig: Rig) -> None:
    """It was wiped, or it is another than was meant: what it lacks is not to be taken out of the kernel."""
    rig.consent.is_needed = True
    await rig.store.ensure_initialized()
    rig.stream.tell(endpoint(5))
    await rig.feed.programmed(IDENTITY, 5)
    await rig.store.delete(INFORMATION)
    rig.stream.listings += 1
    rig.stream.tell(Change(KEY, None))
    await rig.settled()
    assert rig.feed.refusal == UNWRITTEN
    assert rig.reconciler.desired.endpoints.keys() == {IDENTITY}
    await rig.store.ensure_initialized()
    rig.stream.listings += 1
    rig.stream.tell()
    await rig.settled()
    assert rig.feed.refusal == ""
    assert not rig.reconciler.desired.endpoints


async def test_an_outage_and_a_start_that_is_not_over_are_told_to_those_who_want_to_attach(rig: Rig) -> None:
    assert "not been read yet" in rig.feed.closed
    rig.stream.tell()
    await rig.feed.synchronised.wait()
    assert rig.feed.closed == ""
    rig.stream.outage = "etcd: nobody answers"
    assert rig.feed.closed == "the datastore does not answer: etcd: nobody answers"


async def test_what_keeps_an_endpoint_from_being_programmed_is_said(rig: Rig) -> None:
    assert "has not been read yet" in rig.feed.hindrance(IDENTITY)
    rig.targets[2].waiting = {"10.65.0.1/32": "interface cali1 is down", "10.65.0.9/32": "another's"}
    rig.stream.tell(endpoint(1))
    await rig.feed.synchronised.wait()
    await rig.reconciler.wait_applied(1)
    assert rig.feed.hindrance(IDENTITY) == "10.65.0.1/32: interface cali1 is down"
    rig.targets[0].refusal = KernelError("commit nftables batch", errno.EPERM)
    rig.stream.tell(endpoint(2, address="10.65.0.2/32"))
    for _ in range(100):
        await rig.settled()
        if rig.targets[0].refused:
            await rig.settled()
            break
    assert "nftables cannot be programmed: commit nftables batch" in rig.feed.hindrance(IDENTITY)
    assert rig.feed.hindrance(EndpointId("shop", "other")) == rig.feed.hindrance(IDENTITY)
