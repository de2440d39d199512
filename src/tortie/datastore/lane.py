"""One SQLite connection and the one thread that uses it, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from tortie.base.errors import Unavailable
from tortie.datastore import lifetimes, tables

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long to wait for a lock: an overloaded disk has been seen to take seconds for one commit of another process."""

_LOCK_POLL_SECONDS = 0.003
_COUNTED_SECONDS = 0.1
# SQLITE_PROTOCOL is a race for a lock that was lost very often.
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ENVIRONMENT = (
    *_BUSY,
    *_BROKEN,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)


class NotADatastore(Unavailable):
    """The file is damaged, belongs to something else, or was written by a newer version: an operator must look."""


class Lane:
    """Runs blocking calls with a connection of its own, in order.

    Args:
        path: the file, or None for a datastore in memory, whose calls run on the event loop at once.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._executor: Executor | None = ThreadPoolExecutor(1, "datastore") if path else None
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._blocking(_touch)

    async def run(self, call: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `call(connection, ...)`; raises Unavailable for what is the disk's fault."""
        if self._executor is None:
            return self._blocking(call, *args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: self._blocking(call, *args, **kwargs))

    async def close(self) -> None:
        """Wait for the calls under way, then release the file."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)
        if self._connection is not None:
            self._connection.close()

    def _blocking(self, call: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return patiently(lambda: call(self._open(), *args, **kwargs))
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self._path)
            self._identity = _identity(self._path)
        if _identity(self._path) != self._identity:
            raise Unavailable(f"{self._path}: removed or replaced while in use; put it back or restart")
        return self._connection


def patiently(
    call: Callable[[], T],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> T:
    """Repeat a call while another process holds the lock it needs, for up to a minute of waiting.

    SQLite's own wait grows to 100 ms a step, in which busy neighbours overtake for ever; this one stays short.
    What a machine or process sleeps through in between is no waiting: the lock may be free when it wakes up.
    """
    left = PATIENCE_SECONDS
    while True:
        began = monotonic()
        try:
            return call()
        except sqlite3.Error as error:
            if _code(error) not in _BUSY or left <= 0:
                raise
        sleep(random.uniform(0, _LOCK_POLL_SECONDS))
        left -= min(monotonic() - began, _COUNTED_SECONDS)


def _touch(connection: sqlite3.Connection) -> None:
    """Nothing: opening the connection is the point."""


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        _create_private(path)
    connection = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    # A file that is not ours must not be changed, so this comes before the journal mode.
    if tables.is_empty(connection):
        tables.create_tables(connection)
    if not tables.is_ours(connection):
        raise NotADatastore(f"{path}: not a datastore of this version; move the file away or name another")
    lifetimes.add_table(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 16777216")


def _create_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _identity(path: Path | None) -> tuple[int, int]:
    """Device and inode, so that we do not go on with a file that nobody else can see."""
    if path is None:
        return 0, 0
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


def _code(error: sqlite3.Error) -> int:
    """The primary result code; that of a mistake of ours when the error is not SQLite's but its binding's."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _translated(error: sqlite3.Error, path: Path | None) -> Exception:
    code = _code(error)
    if code in _BROKEN:
        return NotADatastore(f"{path}: {error}; restore the file or move it away")
    if code in _BUSY:
        return Unavailable(
            f"{path}: locked by another process for {PATIENCE_SECONDS:g} s; one that stands still, or a disk that is "
            f"overloaded: look with `fuser -v {path}`"
        )
    if path is not None and path.is_dir():
        return Unavailable(f"{path}: is a folder; name a file in it")
    if code == sqlite3.SQLITE_CANTOPEN:
        return Unavailable(f"{path}: cannot be opened ({error}); check who may write it and its folder")
    return Unavailable(f"{path}: {error}") if code in _ENVIRONMENT else error
