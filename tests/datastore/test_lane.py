"""Waiting for a lock that other processes hold: long enough for slow disks, and never forever."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tortie.base.errors import Unavailable
from tortie.datastore import lane
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.lane import PATIENCE_SECONDS, patiently


class SimulatedTime:
    """Time that passes only while somebody sleeps, by what is asked for or by more."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.overslept = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.overslept

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file, on which another holds the lock."""
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as waiting:
            yield waiting


def begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def test_a_lock_that_a_slow_disk_holds_for_long_is_waited_for(tmp_path: Path) -> None:
    time, freed = SimulatedTime(), 1000.0 + 0.9 * PATIENCE_SECONDS
    with closing(sqlite3.connect(tmp_path / "file.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with closing(sqlite3.connect(tmp_path / "file.db", isolation_level=None, timeout=0)) as waiting:

            def try_again() -> None:
                if time.now >= freed and holder.in_transaction:
                    holder.execute("COMMIT")
                begin(waiting)

            patiently(try_again, time.sleep, time.monotonic)
            assert waiting.in_transaction


def test_a_lock_that_is_never_freed_is_told_in_the_end(locked: sqlite3.Connection) -> None:
    time = SimulatedTime()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        patiently(lambda: begin(locked), time.sleep, time.monotonic)
    assert PATIENCE_SECONDS <= time.now - 1000.0 <= PATIENCE_SECONDS + 1


def test_what_a_process_sleeps_through_is_no_waiting(locked: sqlite3.Connection) -> None:
    time, tries = SimulatedTime(), 0
    time.overslept = 2 * PATIENCE_SECONDS

    def free_at_the_third_try() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            begin(locked)
        return tries

    assert patiently(free_at_the_third_try, time.sleep, time.monotonic) == 3


def test_an_error_of_the_binding_is_a_bug_and_not_waited_for() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.ProgrammingError):
        patiently(lambda: connection.execute("SELECT ?"))


async def test_a_datastore_that_stays_locked_is_unavailable_and_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    store = await EmbeddedDatastore.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with monkeypatch.context() as patched:
            patched.setattr(lane, "PATIENCE_SECONDS", 0.05)
            with pytest.raises(Unavailable, match=r"store\.db: locked by another process for .*fuser -v"):
                await store.put("/a", b"")
        assert await store.get("/a") is None
        writing = asyncio.create_task(store.put("/a", b"1"))
        await asyncio.sleep(0.05)
        holder.execute("ROLLBACK")
    assert await writing == 1
    await store.close()
