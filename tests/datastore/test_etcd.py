"""etcd as it is: pages, pieces, progress, lost servers, certificates and passwords."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tortie.api.codec import encode
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import RevisionTooOld, Unavailable
from tortie.datastore.contract import Batch, Event
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.keys import resource_key
from tortie.datastore.limits import TooLarge
from tortie.datastore.stream import ResourceStream
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest

DEADLINE = 30.0
MEGABYTE = 1 << 20


async def opened(*urls: str, **changed: Any) -> EtcdDatastore:
    return await EtcdDatastore.open(EtcdSettings(endpoints=urls, **changed))


@pytest.fixture
async def store(etcd: Any) -> AsyncIterator[EtcdDatastore]:
    """An empty datastore in the server that all share."""
    store = await opened(etcd.url, page_keys=10)
    yield store
    await store.close()


async def take(watch: AsyncIterator[Batch], count: int) -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(DEADLINE):
        while len(events) < count:
            events += (await anext(watch)).events
    return events


async def until_written(store: EtcdDatastore, key: str) -> int:
    """Write a key as soon as a server takes it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await store.put(key, b"")
            except Unavailable:
                await asyncio.sleep(0.05)


class Relay:
    """A way to a server that can be cut and opened again, on a port of its own."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._own_port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.is_deaf = False

    @classmethod
    async def begin(cls, url: str) -> Relay:
        relay = cls(url)
        await relay.listen()
        return relay

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._own_port}"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back, False), self._pump(there, writer, True), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool) -> None:
        while data := await reader.read(1 << 16):
            if not (is_answer and self.is_deaf):
                writer.write(data)
                await writer.drain()
        writer.close()


# What etcd holds


async def test_keys_and_bytes_are_as_other_clients_see_them(etcd: Any, store: EtcdDatastore) -> None:
    await store.create("/calico/é", b"value")
    assert etcd.control("get", "/calico/", "--prefix") == "/calico/é\nvalue\n"
    etcd.control("put", "/calico/b", "theirs")
    stored = await store.get("/calico/b")
    assert stored is not None
    assert stored.value == b"theirs"


async def test_keys_of_others_that_are_no_text_are_listed_and_can_be_deleted(etcd: Any, store: EtcdDatastore) -> None:
    etcd.control("put", b"/p/\xff\xfe", "x")
    (item,) = (await store.list("/p/")).items
    await store.delete(item.key, item.revision)
    assert (await store.list("/p/")).items == []


@pytest.mark.parametrize("count", [9, 10, 11, 35])
async def test_a_listing_of_several_pages_is_complete_and_sorted(store: EtcdDatastore, count: int) -> None:
    await asyncio.gather(*(store.put(f"/p/{number:03}", b"%d" % number) for number in range(count)))
    listing = await store.list("/p/")
    assert [item.key for item in listing.items] == [f"/p/{number:03}" for number in range(count)]


async def test_all_pages_of_a_listing_are_of_one_revision(store: EtcdDatastore) -> None:
    keys = [f"/p/{number:03}" for number in range(50)]
    for key in keys:
        await store.put(key, b"0")
    stopped = asyncio.Event()

    async def rewrite() -> None:
        generation = 0
        while not stopped.is_set():
            generation += 1
            for key in keys:
                await store.put(key, b"%d" % generation)

    writer = asyncio.create_task(rewrite())
    for _ in range(10):
        values = [int(item.value) for item in (await store.list("/p/")).items]
        # One writer goes through the keys in order: at any moment at most two generations stand, the newer first.
        assert sorted(values, reverse=True) == values
        assert values[0] - values[-1] <= 1
    stopped.set()
    await writer


async def test_a_listing_whose_history_is_compacted_between_pages_begins_again(
    store: EtcdDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        await store.put(f"/p/{number:03}", b"")
    page, compactions = store._page, 0

    async def compacting(begin: bytes, end: bytes, revision: int) -> Any:
        nonlocal compactions
        if revision and not compactions:
            compactions += 1
            await store.compact(await store.put("/q", b""))
        return await page(begin, end, revision)

    monkeypatch.setattr(store, "_page", compacting)
    assert len((await store.list("/p/")).items) == 25
    assert compactions == 1


async def test_what_is_compacted_already_may_be_compacted_again(store: EtcdDatastore) -> None:
    revision = await store.put("/p/a", b"")
    await store.compact(revision)
    await store.compact(revision)


# Watches


async def test_a_watch_of_a_quiet_prefix_learns_how_far_the_others_are(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd(options=["--experimental-watch-progress-notify-interval=100ms"])
    relay = await Relay.begin(etcd.url)
    store, other = await opened(relay.url), await opened(etcd.url)
    start = await other.put("/p/a", b"")
    async with aclosing(store.watch("/p/", start)) as watch, asyncio.timeout(DEADLINE):
        last = await other.put("/q/a", b"")
        batch = await anext(watch)
        while batch.revision < last:
            batch = await anext(watch)
        assert batch == Batch([], last)
        # Having been told, it survives a compaction that its last event would not have.
        await relay.cut()
        await other.compact(last)
        await relay.listen()
        await other.put("/p/b", b"")
        assert [event.key for event in await take(watch, 1)] == ["/p/b"]
    for each in (store, other):
        await each.close()
    await relay.cut()


async def test_changes_of_one_revision_come_in_one_batch_however_large(etcd: Any, store: EtcdDatastore) -> None:
    start = await store.put("/p/start", b"")
    writes = "".join(f"put /p/{number} {'x' * 300_000}\n" for number in range(4))
    for _ in range(3):
        etcd.control("txn", script=f"\n{writes}\n\n")
    seen: list[tuple[int, int]] = []
    async with aclosing(store.watch("/p/", start)) as watch, asyncio.timeout(DEADLINE):
        while sum(count for _, count in seen) < 12:
            batch = await anext(watch)
            assert batch.revision == batch.events[-1].revision
            by_revision = {event.revision for event in batch.events}
            seen += [(revision, sum(e.revision == revision for e in batch.events)) for revision in sorted(by_revision)]
    assert seen == [(start + number, 4) for number in (1, 2, 3)]


async def test_a_watcher_that_does_not_read_costs_little_and_stops_nobody(store: EtcdDatastore) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async with aclosing(store.watch("/p/", await store.put("/p/first", b""))) as watch:
        first = asyncio.create_task(anext(watch))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        await store.put("/p/second", b"")
        await first
        before = resident()
        for number in range(60):
            await store.put(f"/p/{number % 3}", bytes(MEGABYTE))
        assert resident() - before < 40 * MEGABYTE
        events = await take(watch, 60)
    assert [event.revision for event in events] == list(range(events[0].revision, events[0].revision + 60))


async def test_a_watch_outlives_the_death_and_restart_of_the_server(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd()
    store = await opened(etcd.url)
    start = await store.put("/p/0", b"")
    async with aclosing(store.watch("/p/", start - 1)) as watch:
        await take(watch, 1)
        before = await store.put("/p/1", b"")
        etcd.stop()
        etcd.start()
        after = await until_written(store, "/p/2")
        assert [event.revision for event in await take(watch, 2)] == [before, after]
    await store.close()


async def test_a_watch_resumes_after_a_lost_connection_without_gaps_or_duplicates(etcd: Any) -> None:
    relay = await Relay.begin(etcd.url)
    store, other = await opened(relay.url), await opened(etcd.url)
    revisions = [await other.put("/p/0", b"")]
    async with aclosing(store.watch("/p/", revisions[0] - 1)) as watch:
        assert [event.revision for event in await take(watch, 1)] == revisions
        await relay.cut()
        revisions += [await other.put(f"/p/{number}", b"") for number in range(5)]
        await relay.listen()
        assert [event.revision for event in await take(watch, 5)] == revisions[1:]
    for each in (store, other):
        await each.close()
    await relay.cut()


async def test_a_compaction_while_the_watcher_was_away_is_too_old(etcd: Any) -> None:
    relay = await Relay.begin(etcd.url)
    store, other = await opened(relay.url), await opened(etcd.url)
    start = await other.put("/p/0", b"")
    async with aclosing(store.watch("/p/", start - 1)) as watch:
        await take(watch, 1)
        await relay.cut()
        await other.put("/p/1", b"")
        await other.compact(await other.put("/q/1", b""))
        await relay.listen()
        with pytest.raises(RevisionTooOld) as caught:
            await take(watch, 1)
    assert (caught.value.requested, caught.value.oldest) == (start, start + 2)
    for each in (store, other):
        await each.close()
    await relay.cut()


async def test_a_watch_gives_up_when_the_servers_are_away_for_too_long(etcd: Any) -> None:
    relay = await Relay.begin(etcd.url)
    store = await opened(relay.url, timeout=0.3)
    async with aclosing(store.watch("/p/", await store.put("/p/0", b"") - 1)) as watch:
        await take(watch, 1)
        await relay.cut()
        with pytest.raises(Unavailable, match="cannot connect"):
            await take(watch, 1)
    await store.close()


async def test_a_history_that_was_set_back_must_be_listed_again(store: EtcdDatastore) -> None:
    newest = await store.put("/p/0", b"")
    with pytest.raises(RevisionTooOld) as caught:
        await anext(store.watch("/p/", newest + 1000))
    assert (caught.value.requested, caught.value.oldest) == (newest + 1000, newest)


# Servers that do not answer


async def test_nobody_there_is_unavailable_for_every_call_and_names_the_servers() -> None:
    store = await opened("http://127.0.0.1:1", "http://127.0.0.1:2", timeout=0.5)
    for call in (store.get("/a"), store.list("/"), store.put("/a", b""), store.compact(1)):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1.*127\.0\.0\.1:2"):
            await call
    with pytest.raises(Unavailable):
        await anext(store.watch("/", 0))
    await store.close()


async def test_a_server_that_hangs_is_unavailable_after_the_deadline(etcd: Any) -> None:
    relay = await Relay.begin(etcd.url)
    store = await opened(relay.url, timeout=0.3)
    await store.put("/a", b"")
    relay.is_deaf = True
    with pytest.raises(Unavailable, match=r"no answer in 0\.3 s"):
        await store.get("/a")
    await store.close()
    await relay.cut()


async def test_a_watch_leaves_a_server_that_hangs(etcd: Any) -> None:
    first, second = await Relay.begin(etcd.url), await Relay.begin(etcd.url)
    store, other = await opened(first.url, second.url, keepalive=0.2, keepalive_timeout=0.2), await opened(etcd.url)
    async with aclosing(store.watch("/p/", await store.put("/p/0", b"") - 1)) as watch:
        await take(watch, 1)
        first.is_deaf = True
        await other.put("/p/1", b"")
        assert [event.key for event in await take(watch, 1)] == ["/p/1"]
    for each in (store, other):
        await each.close()
    await first.cut()
    await second.cut()


async def test_something_else_that_answers_is_unavailable() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    store = await opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=1)
    with pytest.raises(Unavailable):
        await store.get("/a")
    await store.close()
    server.close()


async def test_another_server_takes_over_calls_and_watches(etcd: Any) -> None:
    first, second = await Relay.begin(etcd.url), await Relay.begin(etcd.url)
    store = await opened("http://127.0.0.1:1", first.url, second.url)
    start = await store.put("/p/0", b"")
    async with aclosing(store.watch("/p/", start - 1)) as watch:
        await take(watch, 1)
        assert (first.connections, second.connections) == (1, 0)
        await first.cut()
        assert await store.get("/p/0")
        await store.put("/p/1", b"")
        await store.put("/p/2", b"")
        assert [event.key for event in await take(watch, 2)] == ["/p/1", "/p/2"]
    assert second.connections == 1
    await store.close()
    await second.cut()


async def test_a_write_that_may_have_been_carried_out_is_not_repeated(etcd: Any) -> None:
    first, second = await Relay.begin(etcd.url), await Relay.begin(etcd.url)
    store, other = await opened(first.url, second.url), await opened(etcd.url)
    start = await store.put("/p/0", b"")
    first.is_deaf = True
    writing = asyncio.create_task(store.create("/p/1", b""))
    await take(other.watch("/p/1", start), 1)
    await first.cut()
    with pytest.raises(Unavailable):
        await writing
    for each in (store, other):
        await each.close()
    await second.cut()


async def test_closing_refuses_those_who_wait_and_cancelling_cancels_them(etcd: Any) -> None:
    relay = await Relay.begin(etcd.url)
    store = await opened(relay.url)
    await store.put("/a", b"")
    relay.is_deaf = True
    cancelled, refused = asyncio.create_task(store.get("/a")), asyncio.create_task(store.get("/a"))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await refused
    await relay.cut()


# Those who stand on it


async def test_a_resource_stream_follows_etcd_through_a_restart(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd()
    store = await opened(etcd.url)
    key = resource_key(ResourceKey("GlobalNetworkSet", "", "set"))

    def network_set(net: str) -> bytes:
        return encode(GlobalNetworkSet(metadata=Metadata(name="set"), spec=NetworkSetSpec(nets=(net,))))

    await store.put(key, network_set("10.0.0.0/8"))
    seen: list[tuple[str, ...]] = []
    async with asyncio.timeout(DEADLINE):
        stream = ResourceStream(store, ["GlobalNetworkSet", "Node"], SystemClock())
        async with aclosing(stream.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                seen += [tuple(change.value.spec.nets) for change in batch.changes]
                if batch.in_sync and len(seen) == 1:
                    etcd.stop()
                    etcd.start()
                    await until_written(store, "/calico/other")
                    await store.put(key, network_set("10.1.0.0/16"))
                if len(seen) == 2:
                    break
    assert seen == [("10.0.0.0/8",), ("10.1.0.0/16",)]
    await store.close()


async def test_addresses_are_given_once_by_allocators_that_share_an_etcd(etcd: Any, store: EtcdDatastore) -> None:
    pool = IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/24", block_size=29))
    resources = [pool, *(Node(metadata=Metadata(name=f"n{number}"), spec=NodeSpec()) for number in range(4))]
    for resource in resources:
        await store.put(resource_key(resource.key), encode(resource))

    async def assign(number: int) -> list[str]:
        allocator = Allocator(store, SystemClock(), random.Random(number))
        given = []
        for turn in range(5):
            request = AssignRequest(node=f"n{number}", num4=1, handle=f"h{number}.{turn}")
            given += [str(address) for address in (await allocator.auto_assign(request)).v4]
        return given

    each = await asyncio.gather(*(assign(number) for number in range(4)))
    given = [address for addresses in each for address in addresses]
    assert len(set(given)) == len(given) == 20


# Servers that stand still


async def test_a_server_that_stands_still_is_left_by_reads_in_time_and_by_everybody_after(etcd: Any) -> None:
    first, second = await Relay.begin(etcd.url), await Relay.begin(etcd.url)
    store = await opened(first.url, second.url, timeout=2.0)
    await store.put("/p/a", b"1")
    first.is_deaf = True
    stored = await store.get("/p/a")
    assert stored is not None
    assert stored.value == b"1"
    assert (first.connections, second.connections) == (1, 1)
    # Nobody waits for the first again.
    await store.update("/p/a", b"2", stored.revision)
    await store.close()
    await first.cut()
    await second.cut()


async def test_a_write_to_a_server_that_stands_still_is_not_repeated_and_the_next_goes_elsewhere(etcd: Any) -> None:
    first, second = await Relay.begin(etcd.url), await Relay.begin(etcd.url)
    store = await opened(first.url, second.url, timeout=0.4)
    revision = await store.put("/p/a", b"1")
    first.is_deaf = True
    with pytest.raises(Unavailable, match=r"no answer in 0\.4 s"):
        await store.update("/p/a", b"2", revision)
    stored = await store.get("/p/a")
    assert stored is not None
    assert (stored.value, stored.revision) == (b"2", revision + 1)
    assert second.connections == 1
    await store.close()
    await first.cut()
    await second.cut()


async def test_what_only_the_server_finds_too_large_is_no_outage(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd(options=["--max-request-bytes=10000"])
    store = await opened(etcd.url)
    for size in (20_000, MEGABYTE):
        with pytest.raises(TooLarge, match=r"^/p/a: takes [0-9,]+ bytes, and that is more than this etcd takes"):
            await store.put("/p/a", bytes(size))
    await store.close()
    etcd = make_etcd(options=["--max-request-bytes=4000000"])
    store = await opened(etcd.url, max_request_bytes=4_000_000)
    await store.put("/p/a", bytes(3 * MEGABYTE))
    await store.close()


async def test_a_read_whose_only_server_breaks_off_is_asked_again(etcd: Any) -> None:
    relay = await Relay.begin(etcd.url)
    store = await opened(relay.url)
    await store.put("/p/a", b"1")
    relay.is_deaf = True
    reading = asyncio.create_task(store.get("/p/a"))
    await asyncio.sleep(0.05)
    await relay.cut()
    relay.is_deaf = False
    await relay.listen()
    assert await reading
    await store.close()
    await relay.cut()
