"""What a node says that its kernel has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.agent.witness import addresses_in_kernel
from tortie.netlink.namespace import inside

NAMESPACE = f"tt-witness{os.getpid()}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[Path]:
    ip("netns", "add", NAMESPACE)
    yield Path("/run/netns") / NAMESPACE
    ip("netns", "del", NAMESPACE)


@pytest.mark.kernel
def test_its_own_addresses_and_those_routed_to_workloads_whoever_set_the_route(namespace: Path) -> None:
    for words in (
        ("link", "add", "cali1", "type", "veth", "peer", "name", "eth0"),
        ("link", "set", "cali1", "up"),
        ("link", "set", "eth0", "up"),
        ("addr", "add", "192.0.2.1/24", "dev", "eth0"),
        ("route", "add", "10.0.0.1/32", "dev", "cali1"),
        ("route", "add", "10.0.0.2/32", "dev", "cali1", "proto", "80"),
        ("-6", "route", "add", "fd00::1/128", "dev", "cali1"),
        ("route", "add", "10.1.0.0/24", "dev", "cali1"),
        ("route", "add", "10.0.0.3/32", "dev", "eth0"),
    ):
        ip("-n", NAMESPACE, *words)
    with inside(namespace):
        found = addresses_in_kernel("cali")
    assert {"10.0.0.1", "10.0.0.2", "fd00::1", "192.0.2.1"} <= found
    assert found.isdisjoint({"10.0.0.3", "10.1.0.0"})
