"""Five minutes of changes against a quarter of a million endpoints: the kernel is right, and nothing grows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scale.py"


@pytest.mark.system
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_thousand_changes_a_second_leave_the_kernel_right_and_memory_flat() -> None:
    """The benchmark itself compares every set of the kernel with the datastore in the end."""
    command = [sys.executable, str(BENCHMARK), "250000", "3000", "300"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(told)
    assert "0 operations, nothing written" in told
    before, after = map(int, re.findall(r"processor, memory (\d+) to (\d+) MiB", told)[0])
    assert after <= before * 1.05
    assert "hold what the datastore holds" in told
