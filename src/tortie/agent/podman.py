"""Labels of podman's containers and pods, read from where podman keeps them: it tells CNI plugins none."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from tortie.agent.boltfile import BoltFile, open_bolt
from tortie.base.errors import Unavailable

PATIENCE = 5.0
"""Seconds to wait for podman to end a transaction."""

_BOLT = "bolt_state.db"
_SQLITE = "db.sql"
_PAUSE = 0.005


class _Known(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = None
    pod: str = ""


def container_labels(directory: Path, container: str) -> Mapping[str, str]:
    """Labels of a container, over those of its pod; none where podman knows of none. Blocking.

    Args:
        directory: `libpod` in podman's storage; newer podman keeps a database beside it.

    Raises:
        Unavailable: what podman has kept cannot be read.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _labels(directory, container)
        except FileNotFoundError:
            return {}
        except (Unavailable, OSError, sqlite3.Error) as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"what podman knows of its containers cannot be read: {error}") from error
        time.sleep(_PAUSE)


def _labels(directory: Path, container: str) -> Mapping[str, str]:
    """Raises Unavailable, OSError, sqlite3.Error."""
    if (path := directory / _BOLT).exists():
        with open_bolt(path) as file:
            return _in_bolt(file, container)
    if not (path := directory.parent / _SQLITE).exists():
        return {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return _in_sqlite(database, container)


def _in_bolt(file: BoltFile, container: str) -> Mapping[str, str]:
    own = _decoded(file.get(b"ctr", container.encode(), b"config"))
    pod = _decoded(file.get(b"pod", own.pod.encode(), b"config")) if own.pod else _Known()
    return (pod.labels or {}) | (own.labels or {})


def _in_sqlite(database: sqlite3.Connection, container: str) -> Mapping[str, str]:
    own = _decoded(_row(database, "SELECT JSON FROM ContainerConfig WHERE ID = ?", container))
    pod = _decoded(_row(database, "SELECT JSON FROM PodConfig WHERE ID = ?", own.pod)) if own.pod else _Known()
    return (pod.labels or {}) | (own.labels or {})


def _row(database: sqlite3.Connection, query: str, key: str) -> bytes | None:
    found = database.execute(query, (key,)).fetchone()
    if found is None:
        return None
    return found[0].encode() if isinstance(found[0], str) else bytes(found[0])


def _decoded(data: bytes | None) -> _Known:
    """Raises Unavailable."""
    if data is None:
        return _Known()
    try:
        return msgspec.json.decode(data, type=_Known)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"a container's record is not as expected: {error}") from error
