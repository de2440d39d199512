"""What the pages about datastores show is what the commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[str], list[str]]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("tortie …")` with a datastore of its own; gives what both streams got."""
    environment = {"PATH": os.environ["PATH"], "TORTIE_DATASTORE": str(tmp_path / "old.db")}

    def call(line: str) -> list[str]:
        words = [sys.executable, "-m", "tortie.cli", *line.split()]
        done = subprocess.run(
            words, cwd=ROOT, env=environment, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return done.stdout.splitlines()

    return call


def without_numbers(text: str) -> str:
    return re.sub(r"\d+", "N", text)


def test_moving_a_datastore_looks_like_this(run: Run, tmp_path: Path) -> None:
    page = without_numbers((ROOT / "docs" / "backup.md").read_text())
    run("apply -f examples/three-tier")
    file, new = tmp_path / "cluster.jsonl", tmp_path / "new.db"
    for line in (
        f"datastore migrate export --unlocked -f {file}",
        "datastore migrate lock",
        f"datastore migrate export -f {file}",
        f"datastore migrate import -f {file} --datastore {new}",
        f"datastore migrate unlock --datastore {new}",
    ):
        printed = "\n".join(run(line)).replace(str(new), "/var/lib/tortie/datastore.db")
        assert f"\n{without_numbers(printed)}\n" in page


def test_the_version_looks_like_this(run: Run) -> None:
    page = (ROOT / "docs" / "etcd.md").read_text()
    run("apply -f examples/three-tier")
    for line in run("version"):
        name, _, value = line.partition(":")
        assert name in page
        assert name == "Cluster Identity" or line in page, value
