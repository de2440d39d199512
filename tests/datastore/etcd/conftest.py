"""Ways to servers of etcd that can be cut, datastores that close themselves, and waiting for what is to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tortie.base.errors import Unavailable
from tortie.datastore.contract import Batch, Event
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings

DEADLINE = 30.0


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


@pytest.fixture
async def relay_to() -> AsyncIterator[Callable[[str], Awaitable[Relay]]]:
    """`await relay_to(url)` is a way to that server."""
    relays: list[Relay] = []

    async def begin(url: str) -> Relay:
        relays.append(await Relay.begin(url))
        return relays[-1]

    yield begin
    for relay in relays:
        await relay.cut()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Awaitable[EtcdDatastore]]]:
    """`await opened(url, timeout=1)` is a datastore there."""
    stores: list[EtcdDatastore] = []

    async def opened(*urls: str, **changed: Any) -> EtcdDatastore:
        stores.append(await EtcdDatastore.open(EtcdSettings(endpoints=urls, **changed)))
        return stores[-1]

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
async def store(etcd: Any, opened: Callable[..., Awaitable[EtcdDatastore]]) -> EtcdDatastore:
    """An empty datastore in the server that all share."""
    return await opened(etcd.url, page_keys=10)


@pytest.fixture
def take() -> Callable[[AsyncIterator[Batch], int], Awaitable[list[Event]]]:
    """`await take(watch, count)` is at least so many events."""

    async def take(watch: AsyncIterator[Batch], count: int) -> list[Event]:
        events: list[Event] = []
        async with asyncio.timeout(DEADLINE):
            while len(events) < count:
                events += (await anext(watch)).events
        return events

    return take


@pytest.fixture
def until_written() -> Callable[[EtcdDatastore, str], Awaitable[int]]:
    """`await until_written(store, key)` writes a key as soon as a server takes it."""

    async def write(store: EtcdDatastore, key: str) -> int:
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    return await store.put(key, b"")
                except Unavailable:
                    await asyncio.sleep(0.05)

    return write
