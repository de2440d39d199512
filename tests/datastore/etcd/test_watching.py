"""Watches of etcd: batches, progress, and what they outlive."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tortie.api.codec import encode
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import RevisionTooOld, Unavailable
from tortie.datastore.contract import Batch, Event
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.stream import ResourceStream

Opened = Callable[..., Awaitable[EtcdDatastore]]
RelayTo = Callable[[str], Awaitable[Any]]
Take = Callable[[AsyncIterator[Batch], int], Awaitable[list[Event]]]
UntilWritten = Callable[[EtcdDatastore, str], Awaitable[int]]

DEADLINE = 30.0
MEGABYTE = 1 << 20


async def test_a_watch_of_a_quiet_prefix_learns_how_far_the_others_are(
    make_etcd: Callable[..., Any], opened: Opened, relay_to: RelayTo, take: Take
) -> None:
    etcd = make_etcd(options=["--experimental-watch-progress-notify-interval=100ms"])
    relay = await relay_to(etcd.url)
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


@pytest.fixture
def proxy(etcd: Any, tmp_path: Path) -> Iterator[str]:
    """Where etcd's own proxy to the shared server listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["etcd", "grpc-proxy", "start", f"--endpoints={etcd.url}", f"--listen-addr=127.0.0.1:{port}"]
    with (tmp_path / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + DEADLINE
        while not _listens(port):
            assert time.monotonic() < ends, (tmp_path / "proxy.log").read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_a_watch_through_etcds_own_proxy_goes_on_like_one_of_a_server(
    proxy: str, opened: Opened, take: Take
) -> None:
    """Who joins a watch that the proxy has already is not told the number of the cluster."""
    first, late = await opened(proxy), await opened(proxy)
    await first.put("/p/a", b"1")
    async with aclosing(first.watch("/p/", await _listed(first))) as one:
        await first.put("/p/a", b"2")
        assert [event.value for event in await take(one, 1)] == [b"2"]
        await first.put("/q/a", b"")
        # Newer than all that the proxy told of this prefix, so its watch will do.
        async with aclosing(late.watch("/p/", await _listed(late))) as other:
            heard = asyncio.create_task(take(other, 1))
            # By then it has begun, most likely; one that begins later has a watch of its own.
            await asyncio.sleep(0.2)
            await first.put("/p/a", b"3")
            for found in (await take(one, 1), await heard):
                assert [event.value for event in found] == [b"3"]


async def _listed(store: EtcdDatastore) -> int:
    async with aclosing(store.pages("/p/")) as pages:
        return [page.revision async for page in pages][-1]


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


async def test_a_watcher_that_does_not_read_costs_little_and_stops_nobody(store: EtcdDatastore, take: Take) -> None:
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


async def test_a_watch_outlives_the_death_and_restart_of_the_server(
    make_etcd: Callable[..., Any], opened: Opened, take: Take, until_written: UntilWritten
) -> None:
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


async def test_a_watch_resumes_after_a_lost_connection_without_gaps_or_duplicates(
    etcd: Any, opened: Opened, relay_to: RelayTo, take: Take
) -> None:
    relay = await relay_to(etcd.url)
    store, other = await opened(relay.url), await opened(etcd.url)
    revisions = [await other.put("/p/0", b"")]
    async with aclosing(store.watch("/p/", revisions[0] - 1)) as watch:
        assert [event.revision for event in await take(watch, 1)] == revisions
        await relay.cut()
        revisions += [await other.put(f"/p/{number}", b"") for number in range(5)]
        await relay.listen()
        assert [event.revision for event in await take(watch, 5)] == revisions[1:]


async def test_a_compaction_while_the_watcher_was_away_is_too_old(
    etcd: Any, opened: Opened, relay_to: RelayTo, take: Take
) -> None:
    relay = await relay_to(etcd.url)
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


async def test_a_watch_gives_up_when_the_servers_are_away_for_too_long(
    etcd: Any, opened: Opened, relay_to: RelayTo, take: Take
) -> None:
    relay = await relay_to(etcd.url)
    store = await opened(relay.url, timeout=0.3)
    async with aclosing(store.watch("/p/", await store.put("/p/0", b"") - 1)) as watch:
        await take(watch, 1)
        await relay.cut()
        with pytest.raises(Unavailable, match="cannot connect"):
            await take(watch, 1)


async def test_a_history_that_was_set_back_must_be_listed_again(store: EtcdDatastore) -> None:
    newest = await store.put("/p/0", b"")
    with pytest.raises(RevisionTooOld) as caught:
        await anext(store.watch("/p/", newest + 1000))
    assert (caught.value.requested, caught.value.oldest) == (newest + 1000, newest)


async def test_a_watch_leaves_a_server_that_hangs(etcd: Any, opened: Opened, relay_to: RelayTo, take: Take) -> None:
    first, second = await relay_to(etcd.url), await relay_to(etcd.url)
    store, other = await opened(first.url, second.url, keepalive=0.2, keepalive_timeout=0.2), await opened(etcd.url)
    async with aclosing(store.watch("/p/", await store.put("/p/0", b"") - 1)) as watch:
        await take(watch, 1)
        first.is_deaf = True
        await other.put("/p/1", b"")
        assert [event.key for event in await take(watch, 1)] == ["/p/1"]


async def test_a_resource_stream_follows_etcd_through_a_restart(
    make_etcd: Callable[..., Any], opened: Opened, until_written: UntilWritten
) -> None:
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
