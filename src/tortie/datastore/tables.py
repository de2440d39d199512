"""The SQLite tables of the embedded datastore, and every statement run on them. Blocking; one transaction a call.

`current` holds the keys that exist, `history` every write since the last compaction, and `counter`
the revision of the last write and of the last compaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from tortie.base.errors import AlreadyExists, Conflict, HistoryBroken, NotFound, RevisionTooOld, StaleRevision
from tortie.datastore import lifetimes
from tortie.datastore.contract import Event, KeyValue, Listing, Write

APPLICATION_ID = 0x54525449
"""Marks a SQLite file as ours, in its header."""

FORMAT = 1
"""Version of the tables, in the header too; a file with a higher one is not opened."""

_AFTER_EVERY_KEY = "\U0010ffff"
_TRIM_CHUNK = 256

_SCHEMA = """
CREATE TABLE current (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE TABLE history (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, created INTEGER NOT NULL,
                      previous BLOB);
CREATE TABLE counter (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
INSERT INTO counter VALUES (0, 0);
"""


class Page(msgspec.Struct, frozen=True, gc=False):
    """Part of history: all matching events up to `revision`; `complete` when that is the newest revision."""

    events: Sequence[Event]
    revision: int
    complete: bool


@contextmanager
def transaction(connection: sqlite3.Connection, mode: str = "DEFERRED") -> Iterator[None]:
    """All or nothing; `mode` is DEFERRED for reading one snapshot and IMMEDIATE for writing."""
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing at all."""
    return connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the file holds a datastore of this format."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return bool(application == APPLICATION_ID and version == FORMAT)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty file a datastore; does nothing when another process was faster."""
    with transaction(connection, "IMMEDIATE"):
        if not is_empty(connection):
            return
        for statement in _SCHEMA.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def read_key(connection: sqlite3.Connection, key: str) -> KeyValue | None:
    """The current value of one key."""
    row = connection.execute("SELECT key, value, revision, created FROM current WHERE key = ?", (key,)).fetchone()
    return None if row is None else KeyValue(*row)


def read_several(connection: sqlite3.Connection, keys: Sequence[str], prefixes: Sequence[str]) -> dict[str, KeyValue]:
    """Some keys, and all that begin with some prefixes, at one revision."""
    with transaction(connection):
        found = [item for key in keys if (item := read_key(connection, key))]
        for prefix in prefixes:
            found += _prefixed(connection, prefix)
    return {item.key: item for item in found}


def read_prefix(connection: sqlite3.Connection, prefix: str) -> Listing:
    """All current keys that begin with `prefix`, in order, at one revision."""
    with transaction(connection):
        revision, _ = _counter(connection)
        return Listing(_prefixed(connection, prefix), revision)


def read_history(connection: sqlite3.Connection, after: int, prefix: str, limit: int) -> Page:
    """At most `limit` events of a prefix after a revision.

    Raises:
        RevisionTooOld: they have been forgotten.
        HistoryBroken: the revision is one that this datastore never reached.
    """
    with transaction(connection):
        revision, compacted = _counter(connection)
        if after < compacted:
            raise RevisionTooOld(after, compacted)
        if after > revision:
            raise HistoryBroken(after, revision, f"the datastore went back to revision {revision}")
        rows = connection.execute(
            "SELECT key, value, revision, created, previous FROM history"
            " WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision LIMIT ?",
            (after, prefix, prefix + _AFTER_EVERY_KEY, limit),
        )
        events = [Event(*row) for row in rows]
    if len(events) == limit:
        return Page(events, events[-1].revision, complete=False)
    return Page(events, revision, complete=True)


def write_all(
    connection: sqlite3.Connection, groups: Sequence[Sequence[Write]], keep: int, monotonic: Callable[[], float]
) -> list[Sequence[int] | Conflict]:
    """Remove what has outlived its time, carry out groups of writes in order, all in one commit, and trim history.

    Each write gets its own revision; a group is carried out whole, or the conflict prevented it and no other group.

    Args:
        keep: revisions of history that stay.
        monotonic: the clock, asked when all others have written: what began before is then not in the future.
    """
    with transaction(connection, "IMMEDIATE"):
        now = monotonic()
        revision, compacted = _counter(connection)
        over = [(Write(key, None, expected),) for key, expected in lifetimes.take_over(connection, now)]
        results: list[Sequence[int] | Conflict] = []
        for group in (*over, *groups):
            result = _write_group(connection, group, revision, now)
            revision += 0 if isinstance(result, Conflict) else len(result)
            results.append(result)
        connection.execute("UPDATE counter SET revision = ?", (revision,))
        if revision - keep - compacted >= _TRIM_CHUNK:
            _forget(connection, revision - keep)
    return results[len(over) :]


def compact(connection: sqlite3.Connection, revision: int) -> None:
    """Forget history up to and including a revision; one in the future stands for the newest."""
    with transaction(connection, "IMMEDIATE"):
        newest, compacted = _counter(connection)
        _forget(connection, max(compacted, min(revision, newest)))


def _prefixed(connection: sqlite3.Connection, prefix: str) -> list[KeyValue]:
    rows = connection.execute(
        "SELECT key, value, revision, created FROM current WHERE key >= ? AND key < ? ORDER BY key",
        (prefix, prefix + _AFTER_EVERY_KEY),
    )
    return [KeyValue(*row) for row in rows]


def _counter(connection: sqlite3.Connection) -> tuple[int, int]:
    revision, compacted = connection.execute("SELECT revision, compacted FROM counter").fetchone()
    return revision, compacted


def _forget(connection: sqlite3.Connection, revision: int) -> None:
    connection.execute("DELETE FROM history WHERE revision <= ?", (revision,))
    connection.execute("UPDATE counter SET compacted = ?", (revision,))


def _conflict(write: Write, current: KeyValue | None) -> Conflict | None:
    if current is None:
        wants_existing = write.expected or write.value is None
        return NotFound(write.key) if wants_existing else None
    if write.expected is None or write.expected == current.revision:
        return None
    if write.expected == 0:
        return AlreadyExists(write.key)
    return StaleRevision(write.key, write.expected, current.revision)


def _write_group(
    connection: sqlite3.Connection, group: Sequence[Write], revision: int, now: float
) -> Sequence[int] | Conflict:
    current = {write.key: read_key(connection, write.key) for write in group}
    problems = (_conflict(write, current[write.key]) for write in group)
    if problem := next(filter(None, problems), None):
        return problem
    for number, write in enumerate(group, revision + 1):
        _write(connection, write, number, current[write.key])
        if write.lifetime:
            lifetimes.begin(connection, write.key, number, now, write.lifetime)
    return range(revision + 1, revision + 1 + len(group))


def _write(connection: sqlite3.Connection, write: Write, revision: int, current: KeyValue | None) -> None:
    created = current.created if current else revision
    if write.value is None:
        connection.execute("DELETE FROM current WHERE key = ?", (write.key,))
    else:
        connection.execute(
            "INSERT INTO current VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
            (write.key, write.value, revision, created),
        )
    connection.execute(
        "INSERT INTO history VALUES (?, ?, ?, ?, ?)",
        (revision, write.key, write.value, created, current.value if current else None),
    )
