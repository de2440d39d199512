"""Labels of containers, out of either database that podman keeps."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tortie.agent import podman as module
from tortie.agent.podman import container_labels
from tortie.base.errors import Unavailable


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With one container in a pod, in the newer database."""
    with closing(sqlite3.connect(tmp_path / "db.sql")) as database:
        for table, identity, record in (
            ("ContainerConfig", "c1", {"labels": {"role": "web", "tier": "own"}, "pod": "p1"}),
            ("ContainerConfig", "c2", {"labels": None, "name": "bare"}),
            ("PodConfig", "p1", {"labels": {"tier": "pod", "team": "shop"}}),
        ):
            database.execute(f"CREATE TABLE IF NOT EXISTS {table} (ID TEXT, JSON TEXT)")
            database.execute(f"INSERT INTO {table} VALUES (?, ?)", (identity, json.dumps(record)))
        database.commit()
    return tmp_path / "libpod"


def test_a_container_has_its_own_labels_over_those_of_its_pod(directory: Path) -> None:
    assert container_labels(directory, "c1") == {"role": "web", "tier": "own", "team": "shop"}


def test_a_container_without_labels_or_unknown_has_none(directory: Path) -> None:
    assert container_labels(directory, "c2") == {}
    assert container_labels(directory, "c3") == {}


def test_a_host_without_podman_has_none(tmp_path: Path) -> None:
    assert container_labels(tmp_path / "libpod", "c1") == {}


def test_what_cannot_be_read_is_an_error_and_not_an_absence(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0)
    directory.mkdir()
    (directory / "bolt_state.db").write_bytes(b"no database")
    with pytest.raises(Unavailable, match="what podman knows of its containers cannot be read"):
        container_labels(directory, "c1")
