"""The embedded datastore: one SQLite file shared by the processes of one host, durable and without a server.

A commit reaches watchers in other processes through inotify: every writer touches the file's times
after its commit, when the commit can already be read. (The writes themselves come too early to be a
signal: SQLite publishes a commit only after the last of them has reached the disk.) Watchers look
once a second as well, for the writer that died in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from tortie.base.clock import Clock, SystemClock
from tortie.base.errors import Conflict, NotPermitted, Unavailable
from tortie.base.logs import Logger
from tortie.datastore import lifetimes, tables
from tortie.datastore.contract import Batch, KeyValue, Listing, Write
from tortie.datastore.feed import Feed
from tortie.datastore.inotify import FileWatch
from tortie.datastore.lane import Lane
from tortie.datastore.limits import TooLarge, oversized, refuse_oversized, refuse_oversized_group
from tortie.datastore.tables import Page

KEEP_REVISIONS = 100_000
"""How much history is kept for watchers that resume."""

_FALLBACK_SECONDS = 1.0
_PAGE_EVENTS = 1_000
_COMMIT_WRITES = 256

P = ParamSpec("P")
T = TypeVar("T")

_Waiting = tuple[Sequence[Write], asyncio.Future[Sequence[int]]]

_log = Logger(__name__)


class EmbeddedDatastore:
    """A `Datastore` on one SQLite file, or in memory; belongs to one event loop. Made by `open` or `open_memory`."""

    def __init__(self, path: Path | None, keep_revisions: int, clock: Clock) -> None:
        self._path = path
        self._keep_revisions = keep_revisions
        self._clock = clock
        self._writer = Lane(path)
        self._reader = Lane(path) if path else self._writer
        self._follower = Lane(path) if path else self._writer
        self._feed = Feed(self._read_feed, _FALLBACK_SECONDS if path else None)
        self._file_watch: FileWatch | None = None
        self._waiting: deque[_Waiting] = deque()
        self._committer: asyncio.Task[None] | None = None
        self._alarms: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path, keep_revisions: int = KEEP_REVISIONS, clock: Clock | None = None
    ) -> EmbeddedDatastore:
        """Open a file, or create it with mode 0600.

        Raises:
            NotADatastore: the file is damaged, foreign, or of a newer version.
            Unavailable: the file cannot be opened or written.
        """
        return await asyncio.to_thread(cls, path, keep_revisions, clock or SystemClock())

    @classmethod
    def open_memory(cls, keep_revisions: int = KEEP_REVISIONS, clock: Clock | None = None) -> EmbeddedDatastore:
        """A datastore of this process alone, without threads and polling, for tests and simulations."""
        return cls(None, keep_revisions, clock or SystemClock())

    async def get(self, key: str) -> KeyValue | None:
        self._refuse_closed()
        return await self._read(self._reader, tables.read_key, key)

    async def list(self, prefix: str) -> Listing:
        self._refuse_closed()
        return await self._read(self._reader, tables.read_prefix, prefix)

    async def read(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> Mapping[str, KeyValue]:
        self._refuse_closed()
        return await self._read(self._reader, tables.read_several, keys, prefixes)

    async def pages(self, prefix: str) -> AsyncGenerator[Listing, None]:
        # The file is on this machine: one page is what reading costs anyway.
        yield await self.list(prefix)

    async def create(self, key: str, value: bytes) -> int:
        return await self._write(Write(key, value, 0))

    async def update(self, key: str, value: bytes, revision: int) -> int:
        return await self._write(Write(key, value, revision))

    async def put(self, key: str, value: bytes, lifetime: int = 0) -> int:
        revision = await self._write(Write(key, value, lifetime=lifetime))
        if lifetime and self._path is None:
            self._set_alarm(lifetime)
        return revision

    async def delete(self, key: str, revision: int | None = None) -> int:
        return await self._write(Write(key, None, revision))

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        refuse_oversized_group(writes)
        return await self._write_group(writes)

    async def rehearse(self, writes: Mapping[str, bytes]) -> Mapping[str, TooLarge | NotPermitted]:
        return oversized(writes)

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        self._refuse_closed()
        self._notice_other_processes()
        while not self._closed:
            page = await self._read(self._follower, tables.read_history, revision, prefix, _PAGE_EVENTS)
            if page.events:
                yield Batch(page.events, page.revision)
            revision = page.revision
            if not page.complete:
                continue
            async with contextlib.aclosing(self._follow(prefix, revision)) as batches:
                async for batch in batches:
                    yield batch
                    revision = batch.revision

    async def compact(self, revision: int) -> None:
        self._refuse_closed()
        await self._writer.run(tables.compact, revision)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for alarm in self._alarms:
            alarm.cancel()
        await self._feed.close()
        if self._committer is not None:
            await self._committer
        if self._file_watch is not None:
            asyncio.get_running_loop().remove_reader(self._file_watch.descriptor)
            self._file_watch.close()
        for lane in (self._writer, self._reader, self._follower):
            await lane.close()

    async def _follow(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        """Batches from the feed until it ends, or until this watcher must read history by itself again."""
        subscription = self._feed.subscribe(prefix, revision)
        if subscription is None:
            return
        try:
            while batch := await subscription.next():
                yield batch
        finally:
            self._feed.unsubscribe(subscription)

    async def _read_feed(self, after: int) -> Page:
        return await self._read(self._follower, tables.read_history, after, "", _PAGE_EVENTS)

    async def _read(
        self, lane: Lane, call: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What a lane reads, after whatever has outlived its time is gone."""
        try:
            return await lane.run(lifetimes.read_unless_over, self._clock.monotonic, call, *args, **kwargs)
        except lifetimes.Overdue:
            # Where nothing can be written, what is there can still be read.
            with contextlib.suppress(Unavailable):
                await self._writer.run(_commit, self._path, (), self._keep_revisions, self._clock.monotonic)
                self._feed.wake()
            return await lane.run(call, *args, **kwargs)

    def _set_alarm(self, seconds: int) -> None:
        """Look when a key's time is over; watchers of a file look once a second anyway."""
        alarm = asyncio.get_running_loop().create_task(self._wake_in(seconds))
        self._alarms.add(alarm)
        alarm.add_done_callback(self._alarms.discard)

    async def _wake_in(self, seconds: int) -> None:
        await self._clock.sleep(seconds)
        self._feed.wake()

    def _notice_other_processes(self) -> None:
        if self._path is None or self._file_watch is not None:
            return
        try:
            watch = FileWatch(self._path)
        except OSError as error:
            _log.warning("datastore_notification_missing", path=str(self._path), problem=str(error))
            return
        self._file_watch = watch
        asyncio.get_running_loop().add_reader(watch.descriptor, self._noticed)

    def _noticed(self) -> None:
        if self._file_watch is not None:
            self._file_watch.drain()
        self._feed.wake()

    async def _write(self, write: Write) -> int:
        refuse_oversized(write.key, write.value or b"")
        return (await self._write_group((write,)))[0]

    async def _write_group(self, group: Sequence[Write]) -> Sequence[int]:
        """Queue writes; all that wait for the disk at the same time share one commit."""
        self._refuse_closed()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Sequence[int]] = loop.create_future()
        self._waiting.append((group, done))
        if self._committer is None:
            self._committer = loop.create_task(self._commit_waiting())
        return await done

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_COMMIT_WRITES, len(self._waiting)))]
                await self._commit(batch)
                self._feed.wake()
        finally:
            self._committer = None

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        results: Sequence[Sequence[int] | Conflict | Unavailable] = ()
        try:
            writes = [group for group, _ in batch]
            monotonic = self._clock.monotonic
            results = await self._writer.run(_commit, self._path, writes, self._keep_revisions, monotonic)
        except Unavailable as error:
            results = [error] * len(batch)
        finally:
            _answer(batch, results)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Unavailable(f"{self._path or 'datastore in memory'}: closed")


def _commit(
    connection: sqlite3.Connection,
    path: Path | None,
    writes: Sequence[Sequence[Write]],
    keep: int,
    monotonic: Callable[[], float],
) -> Sequence[Sequence[int] | Conflict]:
    results = tables.write_all(connection, writes, keep, monotonic)
    if path is not None:
        _tell_other_processes(path)
    return results


def _tell_other_processes(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path)


def _answer(batch: Sequence[_Waiting], results: Sequence[Sequence[int] | Conflict | Unavailable]) -> None:
    for (_, done), result in zip_longest(batch, results):
        if done.done():
            continue
        if result is None:
            done.cancel()
        elif isinstance(result, Conflict | Unavailable):
            done.set_exception(result)
        else:
            done.set_result(result)
