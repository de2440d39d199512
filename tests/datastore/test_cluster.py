"""A cluster of three etcd members under a writing load, with members killed, stopped, cut off and restarted.

In every trial: no acknowledged write is lost, none is applied twice or refused for its own success, all
watchers see everything in order, and clients of a member that is away write and watch on through another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("trial.py")
SEEDS = range(6)
ROUNDS = 12


def tried(etcd_programs: Mapping[str, Path], version: str, *arguments: str, seconds: int = 60) -> dict[str, Any]:
    """The report of a trial that ended well."""
    command = [sys.executable, str(SCRIPT), f"--program={etcd_programs[version]}", *arguments]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr[-4000:]}"
    report: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert report["done"] > 0
    return report


@pytest.mark.thorough
@pytest.mark.parametrize("fault", ["kill_leader", "kill_follower", "pause_leader", "restart_each", "restart_all"])
def test_writes_and_watches_survive(etcd_programs: Mapping[str, Path], fault: str) -> None:
    tried(etcd_programs, "3.4", fault)


@pytest.mark.kernel
def test_clients_of_a_leader_that_is_cut_off_move_on(etcd_programs: Mapping[str, Path]) -> None:
    tried(etcd_programs, "3.4", "--network", "cut_off_leader")


@pytest.mark.kernel
def test_a_compaction_behind_a_partition_is_survived_by_listing_again(etcd_programs: Mapping[str, Path]) -> None:
    assert tried(etcd_programs, "3.4", "--network", "compact_when_cut_off")["relists"] > 0


@pytest.mark.soak
@pytest.mark.kernel
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", ["3.4", "3.5"])
def test_any_sequence_of_faults_is_survived(etcd_programs: Mapping[str, Path], version: str, seed: int) -> None:
    tried(etcd_programs, version, "--network", f"--rounds={ROUNDS}", f"--seed={seed}", seconds=1100)
