"""`tortie controllers` as processes: it leads, tells metrics, ends cleanly, and another goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tortie.controllers.leader import LEADER_KEY
from tortie.datastore.embedded import EmbeddedDatastore

DEADLINE = 60.0
Start = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedDatastore]:
    datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
    yield datastore
    await datastore.close()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    processes = []

    async def begin(port: int) -> asyncio.subprocess.Process:
        words = ["controllers", f"--datastore={tmp_path / 'datastore.db'}", f"--metrics-port={port}", "--interval=1"]
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tortie.cli", *words)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def read(port: int) -> str:
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
        return str(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode())
    return ""


async def until(port: int, *lines: str) -> str:
    async with asyncio.timeout(DEADLINE):
        while True:
            text = await asyncio.to_thread(read, port)
            if text and all(line in text for line in lines):
                return text
            await asyncio.sleep(0.1)


async def test_it_leads_checks_and_lets_go_when_told_to_end(store: EmbeddedDatastore, start: Start) -> None:
    port = free_port()
    process = await start(port)
    text = await until(port, "tortie_controllers_leading 1.0", 'tortie_ipam_findings{kind="leaked-address"} 0.0')
    assert "tortie_ipam_checks_total" in text
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert await store.get(LEADER_KEY) is None


@pytest.mark.thorough
async def test_another_goes_on_when_the_leader_is_killed(store: EmbeddedDatastore, start: Start) -> None:
    first, second = free_port(), free_port()
    leader = await start(first)
    await until(first, "tortie_controllers_leading 1.0")
    await start(second)
    await until(second, "tortie_controllers_leading 0.0")
    leader.kill()
    await until(second, "tortie_controllers_leading 1.0")


async def test_a_port_that_is_taken_is_said_so(store: EmbeddedDatastore, start: Start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert await (await start(taken.getsockname()[1])).wait() == 1
