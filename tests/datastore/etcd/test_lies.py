"""Servers that contradict themselves: what they tell is not believed, is read again from the beginning, and is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog

from tortie.base.backoff import Backoff
from tortie.base.clock import SystemClock
from tortie.base.errors import HistoryBroken, Unavailable
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.wire import integer, message, text
from tortie.datastore.outage import Outage
from tortie.datastore.source import PrefixSource, StoredChange

DEADLINE = 30.0
HERE, ELSEWHERE = 0xA11CE, 0xB0B

Answer = bytes | Callable[[], bytes]


def header(revision: int, cluster: int = HERE) -> bytes:
    return message(1, integer(1, cluster) + integer(3, revision))


def stored(key: str, revision: int, value: bytes = b"v") -> bytes:
    return text(1, key.encode()) + integer(2, revision) + integer(3, revision) + integer(4, 1) + text(5, value)


def page(keys: Sequence[tuple[str, int]], revision: int, more: bool = False, **changed: int) -> bytes:
    """A page as a server sends it that tells the truth, but for what is changed."""
    items = b"".join(message(2, stored(key, at)) for key, at in keys)
    count = changed.get("count", len(keys))
    return header(revision, changed.get("cluster", HERE)) + items + integer(3, more) + integer(4, count)


def created(revision: int, cluster: int = HERE) -> bytes:
    return header(revision, cluster) + integer(3, True)


def events(*changes: tuple[str, int], revision: int = 100, cluster: int = HERE) -> bytes:
    return header(revision, cluster) + b"".join(message(11, message(2, stored(key, at))) for key, at in changes)


class Liar:
    """A server that answers each range, and each watch, with the next of what it was given; then it is silent."""

    def __init__(self) -> None:
        self.pages: list[bytes] = []
        self.watches: list[list[bytes]] = []
        self.asked = 0
        self._server = grpc.aio.server()
        handlers = {
            messages.RANGE: grpc.unary_unary_rpc_method_handler(self._range),
            messages.WATCH: grpc.stream_stream_rpc_method_handler(self._watch),
        }

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                return handlers.get(details.method)

        self._server.add_generic_rpc_handlers((Handler(),))
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    async def opened(self, **changed: Any) -> EtcdDatastore:
        await self._server.start()
        settings: dict[str, Any] = {"endpoints": [f"http://127.0.0.1:{self._port}"], "timeout": 5.0, **changed}
        return await EtcdDatastore.open(EtcdSettings(**settings))

    async def stop(self) -> None:
        await self._server.stop(None)

    async def _range(self, request: bytes, context: Any) -> bytes:
        self.asked += 1
        if not self.pages:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "nothing more to say")
        return self.pages.pop(0)

    async def _watch(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        for answer in self.watches.pop(0) if self.watches else [created(100)]:
            yield answer
        await asyncio.sleep(DEADLINE)


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    server = Liar()
    yield server
    await server.stop()


class Believer:
    """What somebody holds who follows `/p/`, and everything that was told."""

    def __init__(self, store: EtcdDatastore) -> None:
        self.held: dict[str, int] = {}
        self.told: list[tuple[str, int | None]] = []
        self.listings = 0
        backoff = Backoff(first=0.01, limit=0.05)
        self._source = PrefixSource(store, "/p/", SystemClock(), backoff, self, Outage(SystemClock()))
        self._task = asyncio.create_task(self._source.run())

    def take(self, change: StoredChange) -> None:
        self.told.append((change.key, None if change.value is None else change.revision))
        if change.value is None:
            del self.held[change.key]
        else:
            self.held[change.key] = change.revision

    def settled(self) -> None:
        self.listings += 1

    async def room(self) -> None:
        return

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                assert not self._task.done() or self._task.result()
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


WHOLE = page([("/p/a", 3), ("/p/b", 5)], 10)

HALVES = {
    "an empty page with more to follow": [page([("/p/a", 3)], 10, more=True, count=2), page([], 10, more=True)],
    "an end that comes too early": [page([("/p/a", 3)], 10, count=2)],
    "pages that go round": [page([("/p/a", 3)], 10, more=True, count=3), page([("/p/a", 3)], 10, more=True)],
    "keys of another prefix": [page([("/q/a", 3), ("/q/b", 3)], 10)],
    "keys out of order": [page([("/p/b", 5), ("/p/a", 3)], 10)],
    "keys from the future": [page([("/p/a", 11), ("/p/b", 5)], 10)],
    "bytes that end too early": [WHOLE[:-20]],
    "bytes of nothing": [b""],
    "no header": [WHOLE[len(header(10)) :]],
}


@pytest.mark.parametrize("answers", HALVES.values(), ids=HALVES.keys())
async def test_a_listing_that_does_not_add_up_is_no_listing(liar: Liar, answers: list[bytes]) -> None:
    store = await liar.opened()
    liar.pages = [*answers]
    with pytest.raises(Unavailable):
        await store.list("/p/")
    await store.close()


SECOND_PAGES = {
    "another cluster": page([("/p/b", 5)], 12, cluster=ELSEWHERE),
    "a cluster set back": page([("/p/b", 5)], 9),
}


@pytest.mark.parametrize("second", SECOND_PAGES.values(), ids=SECOND_PAGES.keys())
async def test_pages_of_two_histories_make_no_listing(liar: Liar, second: bytes) -> None:
    store = await liar.opened()
    liar.pages = [page([("/p/a", 3)], 10, more=True, count=2), second, WHOLE]
    assert [item.key for item in (await store.list("/p/")).items] == ["/p/a", "/p/b"]
    assert liar.asked == 3
    await store.close()


@pytest.mark.parametrize("answers", HALVES.values(), ids=HALVES.keys())
async def test_nothing_is_taken_for_deleted_because_a_listing_was_broken_off(liar: Liar, answers: list[bytes]) -> None:
    store = await liar.opened()
    liar.pages = [WHOLE]
    liar.watches = [[created(10), header(11) + integer(4, True) + integer(5, 11)]]
    believer = Believer(store)
    await believer.until(lambda: believer.listings == 1)
    asked = liar.asked
    liar.pages = [*answers]
    await believer.until(lambda: liar.asked > asked + len(answers))
    assert {"/p/a", "/p/b"} <= believer.held.keys()
    liar.pages = [page([("/p/b", 5)], 12)]
    await believer.until(lambda: believer.listings == 2)
    assert believer.held == {"/p/b": 5}
    await believer.close()
    await store.close()


BROKEN = {
    "revisions that go back": [created(10), events(("/p/a", 13), ("/p/b", 12))],
    "revisions that go back in the next answer": [created(10), events(("/p/a", 13)), events(("/p/b", 12))],
    "keys of another prefix": [created(10), events(("/q/a", 12))],
    "bytes that end too early": [created(10), events(("/p/a", 13))[:-9]],
    "another cluster from the beginning": [created(10, ELSEWHERE)],
    "another cluster in between": [created(10), events(("/p/a", 13), cluster=ELSEWHERE)],
    "a cluster set back": [created(7)],
}


@pytest.mark.parametrize("answers", BROKEN.values(), ids=BROKEN.keys())
async def test_a_history_that_makes_no_sense_is_told_loudly_and_listed_again(liar: Liar, answers: list[bytes]) -> None:
    store = await liar.opened()
    set_back = answers == [created(7)]
    liar.pages = [WHOLE, *([page([], 7)] if set_back else []), page([("/p/b", 5), ("/p/c", 6)], 10)]
    liar.watches = [answers]
    with structlog.testing.capture_logs() as logs:
        believer = Believer(store)
        await believer.until(lambda: believer.listings == 2)
    assert believer.held == {"/p/b": 5, "/p/c": 6}
    # At the same revision it may be something else now.
    assert believer.told.count(("/p/b", 5)) == 2
    loud = [event for event in logs if event["log_level"] == "error"]
    assert "datastore_history_broken" in [event["event"] for event in loud]
    await believer.close()
    await store.close()


async def test_a_watch_tells_what_broke_it(liar: Liar) -> None:
    store = await liar.opened()
    liar.watches = [[created(10), events(("/p/a", 13), ("/p/b", 12))]]
    with pytest.raises(HistoryBroken, match="told /p/b at 12 after revision 13; what was read up to revision 10 must"):
        await anext(store.watch("/p/", 10))
    await store.close()


async def test_a_watch_that_returns_to_another_cluster_lists_again_even_if_that_one_is_ahead(liar: Liar) -> None:
    store = await liar.opened()
    liar.pages = [WHOLE]
    await store.list("/p/")
    liar.watches = [[created(500, ELSEWHERE)]]
    with structlog.testing.capture_logs() as logs, pytest.raises(HistoryBroken, match="b0b answers instead of a11ce"):
        async with aclosing(store.watch("/p/", 10)) as watch:
            await anext(watch)
    assert [event["event"] for event in logs] == ["etcd_cluster_replaced"]
    await store.close()


async def test_an_emptied_data_directory_is_noticed_and_read_again(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd()
    store = await EtcdDatastore.open(EtcdSettings(endpoints=[etcd.url]))
    for number in range(20):
        await store.put(f"/p/{number % 4}", b"old")
    with structlog.testing.capture_logs() as logs:
        believer = Believer(store)
        await believer.until(lambda: believer.listings == 1)
        etcd.stop()
        etcd.forget()
        etcd.start()
        etcd.control("put", "/p/3", "new")
        await believer.until(lambda: believer.listings == 2)
    assert believer.held == {"/p/3": 2}
    assert "datastore_history_broken" in [event["event"] for event in logs if event["log_level"] == "error"]
    await believer.close()
    await store.close()
