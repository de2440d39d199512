"""A short command loads no more than it needs: that is how it answers soon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tortie.cli.main import COMMANDS, SUMMARIES

Run = Callable[..., Result]

HEAVY = ("yaml", "rich", "grpc", "structlog", "numpy", "starlette", "uvicorn", "prometheus_client", "pyroaring")
OF_WRITERS = (
    "tortie.api.validation",
    "tortie.api.defaults",
    "tortie.api.documents",
    "tortie.cli.manifests",
    "tortie.convert",
)
OF_OTHERS = ("tortie.selector", "tortie.cli.jsonpath", "tortie.cli.gotemplate", "tortie.cli.following", "tortie.ipam")

PROGRAM = """
import sys
from tortie.cli.main import tortie
tortie(sys.argv[1:], prog_name="tortie", standalone_mode=False)
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def loaded(place: Path, *arguments: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = {**os.environ, "TORTIE_DATASTORE": str(place)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.splitlines())


@pytest.fixture
def place(run: Run, tmp_path: Path) -> Path:
    """A datastore with something in it."""
    tier = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}}"
    assert run("apply", "-f", "-", text=tier).exit_code == 0
    return tmp_path / "datastore.db"


@pytest.mark.parametrize("arguments", [("get", "tiers"), ("get", "tier", "security", "-o", "json")])
def test_get_of_a_file_loads_nothing_heavy(place: Path, arguments: tuple[str, ...]) -> None:
    assert not loaded(place, *arguments) & {*HEAVY, *OF_WRITERS, *OF_OTHERS}


def test_what_an_option_needs_is_loaded_for_it_alone(place: Path) -> None:
    assert {"tortie.selector", "tortie.cli.jsonpath"} & loaded(place, "get", "tiers", "-l", "a=b") == {
        "tortie.selector"
    }
    assert "yaml" in loaded(place, "get", "tiers", "-o", "yaml")


def test_the_list_of_commands_loads_none_of_them(place: Path) -> None:
    assert not loaded(place, "--help") & {*HEAVY, "tortie.datastore", "tortie.api", "asyncio", "sqlite3"}


def test_every_command_has_a_summary_in_the_same_order() -> None:
    assert list(SUMMARIES) == list(COMMANDS)
