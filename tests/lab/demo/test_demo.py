"""The demonstration itself, from beginning to end, twice in a row, and without a trace afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.lab.demo.scene import ALLOWED, SERVICES, WORKLOADS
from tortie.lab.demo.table import is_as_expected, text
from tortie.netlink.namespace import NAMED

NAME = "demotest"


def demo(action: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tortie.lab.demo", action, NAME]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def taken_down() -> Iterator[None]:
    yield
    demo("down")


@pytest.mark.system
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("taken_down")
def test_everything_is_shown_twice_in_a_row_and_leaves_no_trace() -> None:
    for _ in range(2):
        done = demo("up")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rules rewritten after the restart: 0" in done.stdout
    assert demo("down").returncode == 0
    assert list(NAMED.glob(f"tt-{NAME}-*")) == []
    assert not Path(f"/run/tortie/lab/{NAME}").exists()


def test_every_workload_offers_something() -> None:
    assert {workload.name for workload in WORKLOADS} == set(SERVICES)


def test_the_table_notices_a_pair_that_is_wrong_in_one_family() -> None:
    found = {
        (source, to): "." if (source, to) in ALLOWED else "X" for source in SERVICES for to in SERVICES if source != to
    }
    assert is_as_expected(found, ALLOWED)
    assert not is_as_expected(found | {("web-1", "api-1"): "4"}, ALLOWED)
    assert not is_as_expected(found | {("batch", "db-1"): "."}, ALLOWED)
    assert "batch" in text(found)
