"""Labs for tests: named after this process, so that the next run can remove what a killed one left."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tortie.lab import processes
from tortie.lab.lab import Lab
from tortie.lab.topology import Topology, simple
from tortie.netlink.namespace import NAMED, delete_namespace

Raise = Callable[..., Lab]
_OURS = re.compile(r"tt-t(\d+)x\d+-")
_NUMBERS = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _leftovers_of_killed_runs_are_removed() -> None:
    for path in NAMED.glob("tt-t*"):
        owner = _OURS.match(path.name)
        if owner and processes.start_time(int(owner[1])) is None:
            delete_namespace(path.name)


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    """Two hosts with a workload each."""
    return simple(f"t{os.getpid()}x{next(_NUMBERS)}", 2, 1, str(tmp_path))


@pytest.fixture
def lab(topology: Topology) -> Iterator[Lab]:
    """Two hosts with a workload each, up; taken down afterwards."""
    with Lab(topology) as one:
        yield one


@pytest.fixture
def down_lab(topology: Topology) -> Iterator[Lab]:
    """The same, not up yet; taken down afterwards."""
    one = Lab(topology)
    yield one
    one.down()
