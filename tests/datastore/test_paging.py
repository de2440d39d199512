"""Large listings: a few pages in memory however slow the reader, one revision, and a fresh start after compaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tortie.api.networkset import GlobalNetworkSet
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import RevisionTooOld
from tortie.datastore import intake
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.wire import message
from tortie.datastore.keys import resource_key, resource_prefix
from tortie.datastore.stream import ResourceStream

KEYS = 20_000
PAGE = 500
IN_TRANSACTION = 100
PREFIX = resource_prefix("GlobalNetworkSet", None)


async def fill(url: str, keys: int) -> None:
    """Write keys of small objects, many in each transaction."""
    cluster = Cluster(EtcdSettings(endpoints=[url]))
    for begin in range(0, keys, IN_TRANSACTION):
        names = [f"s{number:05}" for number in range(begin, begin + IN_TRANSACTION)]
        writes = (messages.put_request(key_of(name).encode(), b'{"metadata":{},"spec":{}}') for name in names)
        await cluster.call(messages.TXN, b"".join(message(2, message(2, write)) for write in writes))
    await cluster.close()


def key_of(name: str) -> str:
    return resource_key(ResourceKey("GlobalNetworkSet", "", name))


class Counting(EtcdDatastore):
    """Counts the pages that were asked for and not yet taken, and may do something before a page is asked for."""

    def __init__(self, settings: EtcdSettings) -> None:
        super().__init__(settings, SystemClock())
        self.asked = self.taken = self.most = 0
        self.before_page: dict[int, Any] = {}

    async def pages(self, prefix: str) -> Any:
        async with aclosing(super().pages(prefix)) as pages:
            async for page in pages:
                self.taken += 1
                yield page

    async def _page(self, begin: bytes, end: bytes, revision: int) -> Any:
        self.asked += 1
        self.most = max(self.most, self.asked - self.taken)
        if action := self.before_page.pop(self.asked, None):
            await action()
        return await super()._page(begin, end, revision)


@pytest.fixture
async def store(etcd: Any) -> AsyncIterator[Counting]:
    store = Counting(EtcdSettings(endpoints=[etcd.url], page_keys=PAGE))
    yield store
    await store.close()


async def test_no_more_than_two_pages_are_in_flight(etcd: Any, store: Counting) -> None:
    await fill(etcd.url, KEYS)
    seen = 0
    async for page in store.pages(PREFIX):
        await asyncio.sleep(0)
        seen += len(page.items)
    assert (seen, store.taken) == (KEYS, KEYS // PAGE)
    assert store.most <= 2


async def test_a_stream_whose_reader_is_slow_reads_no_further_ahead_than_there_is_room(
    etcd: Any, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "ROOM", PAGE)
    await fill(etcd.url, 20 * PAGE)
    stream = ResourceStream(store, ["GlobalNetworkSet"], SystemClock())
    names, in_sync = set(), False
    async with aclosing(stream.batches()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            for _ in range(20):
                await asyncio.sleep(0.001)
            names |= {change.key.name for change in batch.changes}
            # Being read, one waiting for room, and one prefetched.
            assert store.asked * PAGE <= len(names) + 4 * PAGE
            in_sync = batch.in_sync
            if in_sync:
                break
    assert len(names) == 20 * PAGE


async def test_a_listing_broken_by_compaction_is_not_continued_but_begun_again(etcd: Any, store: Counting) -> None:
    await fill(etcd.url, 10 * PAGE)

    async def change_and_compact() -> None:
        await store.delete(key_of("s00000"))
        await store.put(key_of("s00001"), b'{"metadata":{},"spec":{"nets":["10.0.0.0/8"]}}')
        await store.compact(await store.put("/other", b""))

    store.before_page[4] = change_and_compact
    with pytest.raises(RevisionTooOld):
        assert [page async for page in store.pages(PREFIX)] == []
    store.asked = store.taken = 0
    store.before_page[4] = change_and_compact
    await store.put(key_of("s00000"), b"{}")
    assert len((await store.list(PREFIX)).items) == 10 * PAGE - 1


async def test_a_stream_ends_up_right_when_history_is_compacted_between_pages(etcd: Any, store: Counting) -> None:
    await fill(etcd.url, 10 * PAGE)

    async def change_and_compact() -> None:
        await store.delete(key_of("s00000"))
        await store.put(key_of("s00001"), b'{"metadata":{},"spec":{"nets":["10.0.0.0/8"]}}')
        await store.compact(await store.put("/other", b""))

    store.before_page[4] = change_and_compact
    state: dict[str, Any] = {}
    stream = ResourceStream(store, ["GlobalNetworkSet"], SystemClock())
    async with aclosing(stream.batches()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            for change in batch.changes:
                state[change.key.name] = change.value
            if batch.in_sync:
                break
    present = {name for name, value in state.items() if value is not None}
    assert present == {f"s{number:05}" for number in range(1, 10 * PAGE)}
    changed = state["s00001"]
    assert isinstance(changed, GlobalNetworkSet)
    assert changed.metadata == Metadata(name="s00001", resource_version=changed.metadata.resource_version)
    assert changed.spec.nets == ("10.0.0.0/8",)
