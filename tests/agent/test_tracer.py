"""Traces in a real kernel: what comes too fast is said to be missing, and nothing old is shown."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tortie.agent import tracer as module
from tortie.agent.tracer import Tracer
from tortie.base.errors import KernelError
from tortie.dataplane.nftables.trace_table import TraceFilter, trace_table
from tortie.netlink.namespace import anonymous_namespace, inside

pytestmark = pytest.mark.kernel
ANYTHING = TraceFilter(("cali",), rate=10_000, hosts=True)
NEVER_SENT = TraceFilter(("cali",), port=9, hosts=True)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def loopback() -> Iterator[socket.socket]:
    """Speaks in a namespace of its own, in which the test is."""
    namespace = anonymous_namespace()
    with inside(namespace):
        run("ip", "link", "set", "lo", "up")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
            yield speaker
    os.close(namespace)


def send(speaker: socket.socket, count: int) -> None:
    for port in range(1000, 1000 + count):
        speaker.sendto(b"x", ("127.0.0.1", port))


async def test_what_came_too_fast_is_told_behind_what_came_before(
    loopback: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKLOG", 20_000)
    tracer = Tracer(1, ANYTHING)
    send(loopback, 500)
    assert await tracer.wait(5)
    heard = tracer.hear(5)
    assert heard.lost and 0 < len(heard.traces) < 500
    send(loopback, 1)
    again = tracer.hear(5)
    assert again.traces and not again.lost
    tracer.close()


async def test_no_slice_is_longer_than_it_may_be(loopback: socket.socket) -> None:
    tracer = Tracer(1, ANYTHING)
    send(loopback, 2000)
    first = tracer.hear(0.001)
    assert not first.lost
    assert tracer.hear(10).traces
    tracer.close()


async def test_other_packets_are_traced_from_one_moment_to_the_next(loopback: socket.socket) -> None:
    tracer = Tracer(1, NEVER_SENT)
    send(loopback, 3)
    assert not await tracer.wait(0.05)
    tracer.replace(ANYTHING)
    send(loopback, 3)
    assert await tracer.wait(5)
    tracer.close()
    await asyncio.sleep(0)
    assert trace_table(1).name not in run("nft", "list", "tables")


def test_a_table_that_cannot_be_made_leaves_nothing_open(loopback: socket.socket) -> None:
    first = Tracer(1, ANYTHING)
    with pytest.raises(KernelError):
        Tracer(1, ANYTHING)
    first.close()
    Tracer(1, ANYTHING).close()
