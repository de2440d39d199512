"""Keys that vanish: under the clocks of an embedded datastore, whoever has the file open; and as leases of etcd."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tortie.base.errors import AlreadyExists, Unavailable
from tortie.datastore import embedded
from tortie.datastore.contract import Datastore, Event
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings

DEADLINE = 30.0


class Clock:
    """Both clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.uptime = 5000.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.uptime

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds
        self._moved.set()

    async def sleep(self, seconds: float) -> None:
        ends = self.uptime + seconds
        while self.uptime < ends:
            self._moved.clear()
            await self._moved.wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, path: Path, clock: Clock) -> AsyncIterator[Datastore]:
    made = (
        EmbeddedDatastore.open_memory(clock=clock)
        if request.param == "memory"
        else await EmbeddedDatastore.open(path, clock=clock)
    )
    yield made
    await made.close()


async def keys(store: Datastore) -> list[str]:
    return [item.key for item in (await store.list("")).items]


async def test_a_key_lives_until_the_second_its_lifetime_ends(store: Datastore, clock: Clock) -> None:
    await store.put("/a", b"", lifetime=90)
    clock.advance(89.9)
    assert await keys(store) == ["/a"]
    with pytest.raises(AlreadyExists):
        await store.create("/a", b"")
    clock.advance(0.2)
    assert await store.get("/a") is None
    assert (await store.list("")).revision == 2


async def test_a_writer_meets_no_key_whose_time_is_over(store: Datastore, clock: Clock) -> None:
    await store.put("/a", b"", lifetime=90)
    clock.advance(91)
    assert await store.create("/a", b"") == 3


async def test_steps_of_the_wall_clock_change_no_lifetime(store: Datastore, clock: Clock) -> None:
    await store.put("/a", b"", lifetime=90)
    for year in (2001, 2077):
        clock.wall = (year - 1970) * 365.25 * 86400
        assert await keys(store) == ["/a"]
    clock.advance(91)
    assert await keys(store) == []


@pytest.mark.parametrize("uptime", [10.0, 4999.0])
async def test_a_key_does_not_outlive_the_boot_of_its_host(store: Datastore, clock: Clock, uptime: float) -> None:
    await store.put("/a", b"", lifetime=3600)
    clock.uptime = uptime
    assert await keys(store) == []


async def test_a_watcher_is_told_without_anybody_asking(store: Datastore, clock: Clock) -> None:
    async with aclosing(store.watch("/", 0)) as watch, asyncio.timeout(DEADLINE):
        await store.put("/a", b"1", lifetime=90)
        assert (await anext(watch)).events == [Event("/a", b"1", 1, 1)]
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0.01)
        clock.advance(91)
        assert (await waiting).events == [Event("/a", None, 2, 1, b"1")]


async def test_whoever_has_the_file_open_removes_what_a_dead_writer_left(path: Path, clock: Clock) -> None:
    writer, reader = [await EmbeddedDatastore.open(path, clock=clock) for _ in range(2)]
    await writer.put("/a", b"", lifetime=90)
    await writer.close()
    async with aclosing(reader.watch("/", 1)) as watch, asyncio.timeout(DEADLINE):
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0.01)
        clock.advance(91)
        assert [event.value for event in (await waiting).events] == [None]
    await reader.close()


async def test_several_who_notice_at_once_remove_a_key_once(path: Path, clock: Clock) -> None:
    stores = [await EmbeddedDatastore.open(path, clock=clock) for _ in range(4)]
    await stores[0].put("/a", b"", lifetime=90)
    clock.advance(91)
    await asyncio.gather(*(one.get("/a") for one in stores))
    assert {(await one.list("")).revision for one in stores} == {2}
    for one in stores:
        await one.close()


async def test_a_file_from_before_there_were_lifetimes_gets_them(path: Path, clock: Clock) -> None:
    first = await EmbeddedDatastore.open(path, clock=clock)
    await first.put("/old", b"")
    await first.close()
    raw = sqlite3.connect(path)
    raw.execute("DROP TABLE lifetime")
    raw.close()
    second = await EmbeddedDatastore.open(path, clock=clock)
    await second.put("/a", b"", lifetime=90)
    clock.advance(91)
    assert await keys(second) == ["/old"]
    await second.close()


async def test_what_is_there_can_be_read_when_nothing_can_be_written(
    store: Datastore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object) -> None:
        raise Unavailable("disk full")

    await store.put("/a", b"", lifetime=90)
    await store.put("/b", b"")
    clock.advance(91)
    monkeypatch.setattr(embedded, "_commit", refused)
    assert await keys(store) == ["/a", "/b"]


@pytest.fixture
async def in_etcd(etcd: Any) -> AsyncIterator[EtcdDatastore]:
    made = await EtcdDatastore.open(EtcdSettings(endpoints=[etcd.url]))
    yield made
    await made.close()


def leases(etcd: Any) -> list[str]:
    """Numbers of all leases that there are."""
    return str(etcd.control("lease", "list")).split("\n")[1:-1]


async def test_every_write_has_a_lease_of_its_own_and_gives_back_the_one_before(
    in_etcd: EtcdDatastore, etcd: Any
) -> None:
    before = set(leases(etcd))
    seen = set()
    for _ in range(4):
        await in_etcd.put("/a", b"", lifetime=600)
        (lease,) = set(leases(etcd)) - before
        seen.add(lease)
        assert "/a" in etcd.control("lease", "timetolive", "--keys", lease)
    assert len(seen) == 4
    etcd.control("lease", "revoke", lease)
    assert await in_etcd.get("/a") is None


async def test_processes_that_write_at_the_same_time_do_not_take_each_other_for_an_earlier_boot(path: Path) -> None:
    several = [await EmbeddedDatastore.open(path) for _ in range(4)]
    for number in range(40):
        await asyncio.gather(*(one.put(f"/{number}/{n}", b"", lifetime=600) for n, one in enumerate(several)))
        assert len((await several[0].list(f"/{number}/")).items) == len(several)
    for one in several:
        await one.close()


async def test_writes_at_the_same_time_leave_the_key_and_one_lease(in_etcd: EtcdDatastore, etcd: Any) -> None:
    before = set(leases(etcd))
    await asyncio.gather(*(in_etcd.put("/a", b"%d" % number, lifetime=600) for number in range(20)))
    assert await in_etcd.get("/a") is not None
    assert len(set(leases(etcd)) - before) == 1


async def test_a_lease_that_has_run_out_hinders_no_write(in_etcd: EtcdDatastore, etcd: Any) -> None:
    before = set(leases(etcd))
    await in_etcd.put("/a", b"", lifetime=600)
    (lease,) = set(leases(etcd)) - before
    etcd.control("lease", "revoke", lease)
    await in_etcd.put("/a", b"again", lifetime=600)
    stored = await in_etcd.get("/a")
    assert stored is not None
    assert stored.value == b"again"
