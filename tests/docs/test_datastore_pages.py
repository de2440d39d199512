"""What the pages about datastores show is what the commands print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.main import tortie

Run = Callable[[str], list[str]]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("tortie …")` with a datastore of its own; gives what both streams got."""
    environment = {"TORTIE_DATASTORE": str(tmp_path / "old.db")}

    def call(line: str) -> list[str]:
        done = CliRunner().invoke(tortie, shlex.split(line), env=environment, prog_name="tortie")
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    return call


def without_numbers(text: str) -> str:
    return re.sub(r"\d+", "N", text)


def test_moving_a_datastore_looks_like_this(run: Run, tmp_path: Path) -> None:
    page = without_numbers((ROOT / "docs" / "backup.md").read_text())
    run(f"apply -f {ROOT}/examples/three-tier")
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
    run(f"apply -f {ROOT}/examples/three-tier")
    for line in run("version"):
        name, _, value = line.partition(":")
        assert name in page
        assert name == "Cluster Identity" or line in page, value
