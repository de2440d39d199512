"""Neighbour-table limits are raised for big labs only, and put back after the last of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.lab.limits import raise_limits, restore_limits
from tortie.lab.topology import Topology, simple

USUAL = {"gc_thresh1": "128", "gc_thresh2": "512", "gc_thresh3": "1024"}


@pytest.fixture
def sysctls(tmp_path: Path) -> Path:
    """A stand-in for /proc/sys/net."""
    for family in ("ipv4", "ipv6"):
        directory = tmp_path / "sysctls" / family / "neigh" / "default"
        directory.mkdir(parents=True)
        for name, value in USUAL.items():
            (directory / name).write_text(value)
    return tmp_path / "sysctls"


def lab(name: str, tmp_path: Path, hosts: int = 40) -> Topology:
    """A lab with a run directory."""
    topology = simple(name, hosts, 0 if hosts > 3 else 1, str(tmp_path))
    topology.run_directory.mkdir(exist_ok=True)
    return topology


def highest(sysctls: Path) -> str:
    """The hard limit."""
    return (sysctls / "ipv6/neigh/default/gc_thresh3").read_text()


def test_a_big_lab_raises_the_limits_and_restores_them(sysctls: Path, tmp_path: Path) -> None:
    big = lab("big", tmp_path)
    raise_limits(big, sysctls)
    assert highest(sysctls) == "65536"
    restore_limits(big, sysctls)
    assert {name: (sysctls / "ipv4/neigh/default" / name).read_text() for name in USUAL} == USUAL


def test_a_small_lab_leaves_them_alone(sysctls: Path, tmp_path: Path) -> None:
    raise_limits(lab("small", tmp_path, 3), sysctls)
    assert highest(sysctls) == "1024"


def test_limits_stay_raised_until_the_last_lab_that_needs_them_goes(sysctls: Path, tmp_path: Path) -> None:
    first, second = lab("first", tmp_path), lab("second", tmp_path)
    raise_limits(first, sysctls)
    raise_limits(second, sysctls)
    restore_limits(first, sysctls)
    assert highest(sysctls) == "65536"
    restore_limits(second, sysctls)
    assert highest(sysctls) == "1024"


def test_a_lab_whose_directory_is_gone_does_not_keep_them_raised(sysctls: Path, tmp_path: Path) -> None:
    gone, last = lab("gone", tmp_path), lab("last", tmp_path)
    raise_limits(gone, sysctls)
    raise_limits(last, sysctls)
    gone.run_directory.rmdir()
    restore_limits(last, sysctls)
    assert highest(sysctls) == "1024"
