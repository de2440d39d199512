"""`tortie lab` from up to down, with real agents, BIRD and packets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.netlink.namespace import NAMED

pytestmark = pytest.mark.system

NAME = "clitest"


def tortie(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("tortie")
    environment = {**os.environ, "TORTIE_DATASTORE": f"/run/tortie/lab/{NAME}/datastore.db"}
    return subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[None]:
    tortie("lab", "down", "--name", NAME)
    raised = tortie("lab", "up", "--name", NAME, "--hosts", "2", "--workloads", "1")
    try:
        assert raised.returncode == 0, raised.stdout + raised.stderr
        assert "2 of 2 established" in raised.stdout
        yield
    finally:
        tortie("lab", "down", "--name", NAME)
    assert not list(NAMED.glob(f"tt-{NAME}-*"))


@pytest.mark.usefixtures("lab")
def test_probe_prints_truth_tables() -> None:
    done = tortie("lab", "probe", "--name", NAME)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("from \\ to") == 8
    assert "X" not in done.stdout.replace("from \\ to", "")


@pytest.mark.usefixtures("lab")
def test_exec_runs_a_program_there_and_ends_as_it_does() -> None:
    assert "169.254.1.1" in tortie("lab", "exec", "--name", NAME, "w1", "ip", "route").stdout
    assert tortie("lab", "exec", "--name", NAME, "w1", "--", "false").returncode == 1
    missing = tortie("lab", "exec", "--name", NAME, "w1", "no-such-program")
    assert (missing.returncode, "cannot be run" in missing.stderr) == (127, True)
    assert "does not exist" in tortie("lab", "exec", "--name", NAME, "nowhere", "true").stderr


@pytest.mark.usefixtures("lab")
def test_at_a_host_the_command_finds_its_agent_and_the_datastore() -> None:
    for host in ("h1", "h2"):
        program = str(Path(sys.executable).with_name("tortie"))
        assert f"Node {host}," in tortie("lab", "exec", "--name", NAME, host, program, "policy", "hits").stdout
        assert f"Node {host}:" in tortie("lab", "exec", "--name", NAME, host, program, "node", "status").stdout
        assert "pool4" in tortie("lab", "exec", "--name", NAME, host, program, "get", "ippools").stdout


@pytest.mark.usefixtures("lab")
def test_a_move_that_fails_leaves_the_workload_where_it_was_and_can_be_repeated() -> None:
    assert tortie("lab", "kill", "--name", NAME, "h2").returncode == 0
    failed = tortie("lab", "move", "--name", NAME, "w1", "h2")
    assert failed.returncode == 3
    assert "tortie-agent" in failed.stderr
    shown = tortie("lab", "status", "--name", NAME).stdout
    assert [line.split()[2] for line in shown.splitlines() if line.startswith("default") and " w1 " in line] == ["h1"]
    assert tortie("lab", "start", "--name", NAME, "h2").returncode == 0
    moved = tortie("lab", "move", "--name", NAME, "w1", "h2")
    assert moved.returncode == 0, moved.stderr
    assert "w1 is on h2" in moved.stdout


@pytest.mark.usefixtures("lab")
def test_a_second_lab_of_the_name_is_refused_with_what_to_do() -> None:
    done = tortie("lab", "up", "--name", NAME)
    assert done.returncode == 1
    assert "take it down first" in done.stderr


def test_a_name_that_cannot_be_one_is_refused() -> None:
    done = tortie("lab", "up", "--name", "Bad_Name")
    assert done.returncode == 1
    assert "Bad_Name" in done.stderr
    assert "Traceback" not in done.stderr
