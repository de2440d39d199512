"""When history turns out to be another, a stream is whole again before it says that it is in sync."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tortie.api import codec
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.networkset import GlobalNetworkSet
from tortie.api.resource import Metadata, Resource
from tortie.base.backoff import Backoff
from tortie.base.clock import SystemClock
from tortie.base.errors import HistoryBroken
from tortie.datastore.contract import Batch, KeyValue, Listing
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key, resource_prefix
from tortie.datastore.stream import ResourceStream, StreamBatch

SET = GlobalNetworkSet(metadata=Metadata(name="set"))
POOL = IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/8"))
PREFIXES = [resource_prefix(one.kind) for one in (SET, POOL)]


class Exchanged:
    """A datastore in whose place another one comes, which only the watch of one prefix notices by itself."""

    def __init__(self) -> None:
        self.inner = EmbeddedDatastore.open_memory()
        self.broken = asyncio.Event()
        self.gates = {prefix: asyncio.Event() for prefix in PREFIXES}

    async def exchange(self, *resources: Resource) -> None:
        """Put another in its place; listings of it wait for their gates."""
        for gate in self.gates.values():
            gate.clear()
        self.inner = EmbeddedDatastore.open_memory()
        await self.hold(*resources)
        self.broken.set()

    async def hold(self, *resources: Resource) -> None:
        for one in resources:
            await self.inner.create(resource_key(one.key), codec.encode(one))

    async def get(self, key: str) -> KeyValue | None:
        return await self.inner.get(key)

    async def pages(self, prefix: str) -> AsyncIterator[Listing]:
        await self.gates[prefix].wait()
        yield await self.inner.list(prefix)

    async def watch(self, prefix: str, revision: int) -> AsyncIterator[Batch]:
        if prefix == PREFIXES[0]:
            await self.broken.wait()
            self.broken.clear()
            raise HistoryBroken(revision, 1, "another answers")
        await asyncio.Event().wait()
        yield Batch([], revision)


async def next_in_sync(batches: AsyncIterator[StreamBatch]) -> tuple[dict[str, bool], int]:
    """What is told until the stream is in sync: whether each key is there; and how many batches came before."""
    told: dict[str, bool] = {}
    early = 0
    async for batch in batches:
        told.update({change.key.name: change.value is not None for change in batch.changes})
        if batch.in_sync:
            return told, early
        early += 1
    raise AssertionError("the stream ended")


def stream_of(store: Exchanged) -> ResourceStream:
    kinds = [SET.kind, POOL.kind]
    return ResourceStream(store, kinds, SystemClock(), backoff=lambda: Backoff(first=0.001, limit=0.001))  # type: ignore[arg-type]  # as much of one as a stream needs


async def test_a_kind_that_did_not_notice_is_told_again_too_and_only_then_is_the_stream_in_sync() -> None:
    store = Exchanged()
    await store.hold(SET, POOL)
    for gate in store.gates.values():
        gate.set()
    stream = stream_of(store)
    batches = stream.batches()
    async with asyncio.timeout(30):
        assert (await next_in_sync(batches))[0] == {"set": True, "pool": True}
        listings = stream.listings
        await store.exchange(SET)
        store.gates[PREFIXES[0]].set()
        following = asyncio.ensure_future(next_in_sync(batches))
        await asyncio.sleep(0.05)
        assert not following.done(), "what one kind says is of no use without the other"
        store.gates[PREFIXES[1]].set()
        told, early = await following
    assert told == {"set": True, "pool": False}
    assert early > 0
    assert stream.listings == listings + 2
    await batches.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_reader_may_ask_for_everything_anew() -> None:
    store = Exchanged()
    await store.hold(SET, POOL)
    for gate in store.gates.values():
        gate.set()
    stream = stream_of(store)
    batches = stream.batches()
    async with asyncio.timeout(30):
        await next_in_sync(batches)
        stream.begin_again()
        told, _ = await next_in_sync(batches)
    assert told == {"set": True, "pool": True}
    assert stream.listings == 4
    await batches.aclose()  # type: ignore[attr-defined]  # it is a generator
