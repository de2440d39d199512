"""The embedded datastore as a file: other processes, crashes, full disks and files that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tortie.base.errors import RevisionTooOld, Unavailable
from tortie.datastore import embedded, tables
from tortie.datastore.contract import Write
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.feed import PROGRESS
from tortie.datastore.lane import Lane, NotADatastore

DEADLINE = 60.0
WRITER = Path(__file__).parent / "writer.py"
FILL_DISK = Path(__file__).parent / "fill_disk.py"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[EmbeddedDatastore]:
    datastore = await EmbeddedDatastore.open(path)
    yield datastore
    await datastore.close()


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that knows nothing of the driver."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def test_the_file_is_private_to_its_owner(store: EmbeddedDatastore, path: Path) -> None:
    await store.put("/a", b"1")
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


async def test_an_acknowledged_write_has_reached_the_disk(path: Path) -> None:
    lane = Lane(path)
    assert await lane.run(lambda connection: connection.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await lane.run(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    await lane.close()


async def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    first = await EmbeddedDatastore.open(path)
    await first.put("/a", b"1")
    await first.close()
    second = await EmbeddedDatastore.open(path)
    assert (await second.list("/")).revision == 1
    watch = second.watch("/", 0)
    async with aclosing(watch):
        assert [event.key for event in (await anext(watch)).events] == ["/a"]
    await second.close()


async def test_history_is_trimmed_by_itself_and_values_stay(path: Path) -> None:
    store = await EmbeddedDatastore.open(path, keep_revisions=100)
    for begin in range(0, 1000, 100):
        await asyncio.gather(*(store.put(f"/{begin + offset}", b"") for offset in range(100)))
    assert len((await store.list("/")).items) == 1000
    with pytest.raises(RevisionTooOld):
        await anext(store.watch("/", 100))
    watch = store.watch("/", 900)
    async with aclosing(watch):
        assert len((await anext(watch)).events) == 100
    await store.close()
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM history").fetchone()[0] < 1000


async def test_a_text_file_is_named_as_the_wrong_file_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping list\n" * 1000)
    before = path.read_bytes()
    with pytest.raises(NotADatastore, match=r"notes\.txt"):
        await EmbeddedDatastore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("statement", ["CREATE TABLE other (x)", "PRAGMA application_id = 7"])
async def test_another_programs_sqlite_file_is_refused_and_left_alone(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "other.db"
    with raw(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(NotADatastore, match="not a datastore"):
        await EmbeddedDatastore.open(path)
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    await (await EmbeddedDatastore.open(path)).close()
    with raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {tables.FORMAT + 1}")
    with pytest.raises(NotADatastore):
        await EmbeddedDatastore.open(path)


def damage(path: Path) -> None:
    """Leave the first page alone and overwrite the rest."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


async def test_a_damaged_file_says_so(path: Path) -> None:
    store = await EmbeddedDatastore.open(path)
    for number in range(200):
        await store.put(f"/{number}", bytes(500))
    await store.close()
    damage(path)
    with pytest.raises(NotADatastore, match="restore the file"):
        await (await EmbeddedDatastore.open(path)).list("/")


async def test_a_folder_in_the_files_place_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await EmbeddedDatastore.open(tmp_path)


async def test_a_file_in_the_folders_place_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"store\.db: "):
        await EmbeddedDatastore.open(tmp_path / "file" / "store.db")


async def test_a_watcher_of_a_quiet_prefix_hears_how_far_the_datastore_has_come(store: EmbeddedDatastore) -> None:
    watch = store.watch("/quiet/", 0)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.05)
    await asyncio.gather(*(store.put("/busy", b"") for _ in range(2 * PROGRESS)))
    async with asyncio.timeout(DEADLINE):
        batch = await waiting
    assert (not batch.events, batch.revision >= PROGRESS) == (True, True)
    await watch.aclose()


async def test_a_file_taken_away_is_unavailable_until_it_is_back(store: EmbeddedDatastore, path: Path) -> None:
    await store.put("/a", b"1")
    moved = path.with_suffix(".away")
    await asyncio.to_thread(path.rename, moved)
    with pytest.raises(Unavailable, match="removed or replaced"):
        await store.put("/b", b"2")
    with pytest.raises(Unavailable, match="removed or replaced"):
        await store.list("/")
    await asyncio.to_thread(moved.rename, path)
    assert await store.put("/b", b"2") == 2


async def test_a_lock_held_elsewhere_delays_writers_but_neither_readers_nor_the_loop(
    store: EmbeddedDatastore, path: Path
) -> None:
    with raw(path) as holder:
        holder.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.put("/a", b"1"))
        for _ in range(20):
            assert await store.get("/a") is None
            await asyncio.sleep(0.005)
        assert not waiting.done()
        holder.execute("ROLLBACK")
        async with asyncio.timeout(DEADLINE):
            assert await waiting == 1


async def test_writes_that_wait_together_share_a_commit_and_fail_one_by_one(store: EmbeddedDatastore) -> None:
    results = await asyncio.gather(
        *(store.create(f"/{number % 50}", b"") for number in range(100)), return_exceptions=True
    )
    assert sorted(result for result in results if isinstance(result, int)) == list(range(1, 51))


async def test_a_commit_elsewhere_wakes_watchers_without_the_timer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_FALLBACK_SECONDS", 10 * DEADLINE)
    reader, writer = await EmbeddedDatastore.open(path), await EmbeddedDatastore.open(path)
    watch = reader.watch("/", 0)
    async with asyncio.timeout(DEADLINE), aclosing(watch):
        for number in range(1, 20):
            await writer.put("/a", b"")
            assert (await anext(watch)).revision == number
    await reader.close()
    await writer.close()


async def test_the_timer_finds_the_commit_of_a_writer_that_died_before_telling(
    store: EmbeddedDatastore, path: Path
) -> None:
    watch = store.watch("/", 0)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.05)
    with raw(path) as silent:
        tables.write_all(silent, [[Write("/a", b"")]], keep=1000, monotonic=lambda: 0.0)
    async with asyncio.timeout(DEADLINE):
        assert (await waiting).revision == 1
    await watch.aclose()


async def test_without_inotify_the_timer_still_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise OSError("too many inotify instances")

    monkeypatch.setattr(embedded, "FileWatch", refused)
    reader, writer = await EmbeddedDatastore.open(path), await EmbeddedDatastore.open(path)
    watch = reader.watch("/", 0)
    await writer.put("/a", b"")
    async with asyncio.timeout(DEADLINE), aclosing(watch):
        assert (await anext(watch)).revision == 1
    await reader.close()
    await writer.close()


async def test_processes_that_contend_for_one_counter_all_succeed(store: EmbeddedDatastore, path: Path) -> None:
    await store.create("/counter", b"0")
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, WRITER, "increment", path, "50") for _ in range(4)
    ]
    async with asyncio.timeout(DEADLINE):
        assert [await process.wait() for process in processes] == [0] * 4
    stored = await store.get("/counter")
    assert stored is not None
    assert stored.value == b"200"


FIRST = 6
"""Writes of each process that are waited for, however busy the machine is."""


@pytest.fixture
def writers(path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(5, marks=pytest.mark.thorough), pytest.param(200, marks=pytest.mark.soak)]
)
def test_a_writer_killed_at_any_moment_leaves_a_whole_store(
    path: Path, writers: list[subprocess.Popen[str]], rounds: int
) -> None:
    """Two processes write; both are killed at a random moment; no acknowledged write may be missing."""
    moments = random.Random(rounds)
    acknowledged: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        for name in ("left", "right"):
            command = [sys.executable, str(WRITER), "forever", str(path), name]
            writers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for process in writers:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        first = [process.stdout.readline() for process in writers for _ in range(FIRST) if process.stdout]
        time.sleep(moments.uniform(0, 0.3))
        for process in writers:
            process.kill()
        for process in writers:
            for line in (*first, *lines_of(process)):
                key, revision, number = line.split()
                acknowledged[key] = max(acknowledged.get(key, (0, 0)), (int(revision), int(number)))
        writers.clear()
        check_whole(path, acknowledged)
    assert len(acknowledged) > FIRST


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    """What the process had printed; the line that the kill cut short does not count."""
    assert process.stdout is not None
    with process.stdout as output:
        text = output.read()
    process.wait()
    return text[: text.rfind("\n") + 1].splitlines()


def check_whole(path: Path, acknowledged: dict[str, tuple[int, int]]) -> None:
    """Nothing damaged, nothing acknowledged missing, and history and values tell the same story."""
    with raw(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        newest, compacted = connection.execute("SELECT revision, compacted FROM counter").fetchone()
        history = connection.execute("SELECT revision, key, value FROM history ORDER BY revision").fetchall()
        stored = {item.key: item for item in tables.read_prefix(connection, "/").items}
    assert [revision for revision, _, _ in history] == list(range(compacted + 1, newest + 1))
    told = {key: (revision, value) for revision, key, value in history}
    for key, (revision, number) in acknowledged.items():
        item = stored[key]
        assert item.revision >= revision
        assert item.revision > revision or int(item.value.split()[0]) == number
        assert told.get(key, (item.revision, item.value)) == (item.revision, item.value)


@pytest.mark.kernel
def test_a_full_disk_is_unavailable_and_works_again_when_freed(tmp_path: Path) -> None:
    command = ["unshare", "--mount", sys.executable, str(FILL_DISK), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert result.stdout == "recovered\n", result.stderr
