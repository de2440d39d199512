"""A hundred moves of each kind, planned and not, with the control plane idle and loaded: what a client loses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.soak]

BENCHMARK = Path(__file__).parents[2] / "benchmarks/moves.py"
MOVES = 100


def test_planned_moves_lose_nothing_and_no_other_takes_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run([sys.executable, BENCHMARK, str(MOVES)], capture_output=True, text=True, check=True)
    with capsys.disabled():
        print("\n" + done.stdout)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
    planned = {name: lost for name, *_, lost in rows if name.startswith("planned")}
    assert len(planned) == 4
    assert all(lost.startswith("0 of") for lost in planned.values()), planned
    worst = {name: float(found) for name, _, _, _, found, _ in rows if name.startswith("abrupt")}
    assert len(worst) == 4
    assert max(worst.values()) < 1000, worst
