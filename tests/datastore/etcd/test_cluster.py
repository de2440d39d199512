"""Servers of etcd that cannot be reached, hang or break off: who is asked instead, and what is never repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from tortie.base.errors import Unavailable
from tortie.datastore.contract import Batch, Event
from tortie.datastore.etcd.driver import EtcdDatastore

Opened = Callable[..., Awaitable[EtcdDatastore]]
RelayTo = Callable[[str], Awaitable[Any]]
Take = Callable[[AsyncIterator[Batch], int], Awaitable[list[Event]]]


async def test_nobody_there_is_unavailable_for_every_call_and_names_the_servers(opened: Opened) -> None:
    store = await opened("http://127.0.0.1:1", "http://127.0.0.1:2", timeout=0.5)
    for call in (store.get("/a"), store.list("/"), store.put("/a", b""), store.compact(1)):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1.*127\.0\.0\.1:2"):
            await call
    with pytest.raises(Unavailable):
        await anext(store.watch("/", 0))


async def test_a_server_that_hangs_is_unavailable_after_the_deadline(
    etcd: Any, opened: Opened, relay_to: RelayTo
) -> None:
    relay = await relay_to(etcd.url)
    store = await opened(relay.url, timeout=0.3)
    await store.put("/a", b"")
    relay.is_deaf = True
    with pytest.raises(Unavailable, match=r"no answer in 0\.3 s"):
        await store.get("/a")


async def test_something_else_that_answers_is_unavailable(opened: Opened) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    store = await opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=1)
    with pytest.raises(Unavailable):
        await store.get("/a")
    await store.close()
    server.close()


async def test_another_server_takes_over_calls_and_watches(
    etcd: Any, opened: Opened, relay_to: RelayTo, take: Take
) -> None:
    first, second = await relay_to(etcd.url), await relay_to(etcd.url)
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


async def test_a_write_that_may_have_been_carried_out_is_not_repeated(
    etcd: Any, opened: Opened, relay_to: RelayTo, take: Take
) -> None:
    first, second = await relay_to(etcd.url), await relay_to(etcd.url)
    store, other = await opened(first.url, second.url), await opened(etcd.url)
    start = await store.put("/p/0", b"")
    first.is_deaf = True
    writing = asyncio.create_task(store.create("/p/1", b""))
    await take(other.watch("/p/1", start), 1)
    await first.cut()
    with pytest.raises(Unavailable):
        await writing


async def test_closing_refuses_those_who_wait_and_cancelling_cancels_them(
    etcd: Any, opened: Opened, relay_to: RelayTo
) -> None:
    relay = await relay_to(etcd.url)
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


async def test_a_server_that_stands_still_is_left_by_reads_in_time_and_by_everybody_after(
    etcd: Any, opened: Opened, relay_to: RelayTo
) -> None:
    first, second = await relay_to(etcd.url), await relay_to(etcd.url)
    store = await opened(first.url, second.url, timeout=2.0)
    await store.put("/p/a", b"1")
    first.is_deaf = True
    stored = await store.get("/p/a")
    assert stored is not None
    assert stored.value == b"1"
    assert (first.connections, second.connections) == (1, 1)
    # Nobody waits for the first again.
    await store.update("/p/a", b"2", stored.revision)


async def test_a_write_to_a_server_that_stands_still_is_not_repeated_and_the_next_goes_elsewhere(
    etcd: Any, opened: Opened, relay_to: RelayTo
) -> None:
    first, second = await relay_to(etcd.url), await relay_to(etcd.url)
    store = await opened(first.url, second.url, timeout=0.4)
    revision = await store.put("/p/a", b"1")
    first.is_deaf = True
    with pytest.raises(Unavailable, match=r"no answer in 0\.4 s"):
        await store.update("/p/a", b"2", revision)
    stored = await store.get("/p/a")
    assert stored is not None
    assert (stored.value, stored.revision) == (b"2", revision + 1)
    assert second.connections == 1


async def test_a_read_whose_only_server_breaks_off_is_asked_again(etcd: Any, opened: Opened, relay_to: RelayTo) -> None:
    relay = await relay_to(etcd.url)
    store = await opened(relay.url)
    await store.put("/p/a", b"1")
    relay.is_deaf = True
    reading = asyncio.create_task(store.get("/p/a"))
    await asyncio.sleep(0.05)
    await relay.cut()
    relay.is_deaf = False
    await relay.listen()
    assert await reading
