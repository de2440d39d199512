"""Which keys of the embedded datastore are to vanish, and when. Blocking; within the caller's transaction.

Times are those of the machine's monotonic clock, which all processes of a host share and nobody steps.
It begins anew with the host, so a lifetime that has not yet begun is one of an earlier boot, and over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lifetime (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, begins REAL NOT NULL,
                                     ends REAL NOT NULL)
"""
_IS_OVER = "NOT (begins <= ?1 AND ?1 < ends)"


class Overdue(Exception):
    """Keys have outlived their time."""


def add_table(connection: sqlite3.Connection) -> None:
    """Make the table in a file that was written before there were lifetimes."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lifetime'").fetchone() is None:
        connection.execute(_SCHEMA)


def begin(connection: sqlite3.Connection, key: str, revision: int, now: float, seconds: int) -> None:
    """Let what was written to a key at a revision vanish; what is written to it later has a lifetime of its own."""
    connection.execute("INSERT OR REPLACE INTO lifetime VALUES (?, ?, ?, ?)", (key, revision, now, now + seconds))


def take_over(connection: sqlite3.Connection, now: float) -> list[tuple[str, int]]:
    """The keys, with the revision that each must still be at, whose time is over; told once."""
    query = f"DELETE FROM lifetime WHERE {_IS_OVER} RETURNING key, revision"
    return sorted(connection.execute(query, (now,)).fetchall()) if _is_any_over(connection, now) else []


def read_unless_over(
    connection: sqlite3.Connection,
    monotonic: Callable[[], float],
    call: Callable[Concatenate[sqlite3.Connection, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """The result of `call(connection, ...)`.

    Raises:
        Overdue: keys have to be removed before; or one began this moment, which who removes them will see.
    """
    if _is_any_over(connection, monotonic()):
        raise Overdue
    return call(connection, *args, **kwargs)


def _is_any_over(connection: sqlite3.Connection, now: float) -> bool:
    return connection.execute(f"SELECT 1 FROM lifetime WHERE {_IS_OVER} LIMIT 1", (now,)).fetchone() is not None
