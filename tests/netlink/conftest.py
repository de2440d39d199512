"""A network namespace of its own for each test; it has no name, so that nothing outlives a killed run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tortie.netlink import links
from tortie.netlink.batch import execute
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket


@pytest.fixture
def namespace() -> Iterator[int]:
    descriptor = anonymous_namespace()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def other_namespace() -> Iterator[int]:
    descriptor = anonymous_namespace()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def rtnetlink(namespace: int) -> Iterator[NetlinkSocket]:
    with inside(namespace):
        socket = NetlinkSocket(NETLINK_ROUTE)
    yield socket
    socket.close()


@pytest.fixture
def nfnetlink(namespace: int) -> Iterator[NetlinkSocket]:
    with inside(namespace):
        socket = NetlinkSocket(NETLINK_NETFILTER)
    yield socket
    socket.close()


@pytest.fixture
def run(namespace: int) -> Callable[..., str]:
    """Run a program in the namespace; returns what it prints."""

    def call(*command: str, input: str | None = None) -> str:
        enter = ("nsenter", f"--net=/proc/self/fd/{namespace}")
        done = subprocess.run(
            [*enter, *command], pass_fds=[namespace], capture_output=True, text=True, check=True, input=input
        )
        return done.stdout

    return call


@pytest.fixture
def ip(run: Callable[..., str]) -> Callable[..., list[dict[str, Any]]]:
    """What `ip -j` says."""

    def call(*arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run("ip", "-d", "-j", *arguments) or "[]")
        return found

    return call


@pytest.fixture
def veth(rtnetlink: NetlinkSocket, other_namespace: int) -> int:
    """The index of cali1, which is up and running, with its peer eth0 in the other namespace."""
    pair = links.create_veth(links.NewLink("cali1"), links.NewLink("eth0", other_namespace))
    execute(rtnetlink, pair, links.change("cali1", up=True))
    with inside(other_namespace), NetlinkSocket(NETLINK_ROUTE) as other:
        execute(other, links.change("eth0", up=True))
    link = links.get_link(rtnetlink, "cali1")
    assert link is not None
    return link.index
