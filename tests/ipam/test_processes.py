"""Real processes on one file, some of them killed: what is stored is what the survivors know."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.ipam.allocator import Allocator
from tortie.ipam.audit import audit, holders
from tortie.ipam.snapshot import read_snapshot

WORKER = Path(__file__).with_name("worker.py")
STEPS = 40


class Books:
    """What the processes told: which handles hold what, and which were under way when one was killed."""

    def __init__(self) -> None:
        self.held: dict[str, list[str]] = {}
        self.doubtful: set[str] = set()

    def note(self, line: str) -> None:
        verb, handle, *addresses = line.split()
        match verb:
            case "assigning":
                self.doubtful.add(handle)
            case "assigned":
                self.doubtful.discard(handle)
                self.held[handle] = addresses
            case "releasing":
                self.doubtful.add(handle)
                del self.held[handle]
            case "released":
                self.doubtful.discard(handle)


async def run_worker(folder: Path, name: str, books: Books, kill_after: int | None) -> int:
    """Run one process to its end, or kill it after so many lines; its exit status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, WORKER, str(folder), name, str(STEPS), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        lines = 0
        while line := await process.stdout.readline():
            books.note(line.decode())
            lines += 1
            if lines == kill_after:
                process.kill()
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.thorough
async def test_processes_that_are_killed_give_no_address_twice_and_lose_none(tmp_path: Path, cluster_on: Any) -> None:
    chance = random.Random(7)
    (tmp_path / "held").mkdir()
    datastore = await EmbeddedDatastore.open(tmp_path / "store.db")
    cluster = cluster_on(datastore)
    await cluster.pool("v4", "10.0.0.0/24", blockSize=28)
    await cluster.pool("v6", "fd00::/64")
    for number in range(3):
        await cluster.node(f"n{number}")
    books = Books()
    lives = [(f"n{number}.{life}", None if life else chance.randrange(3, 40)) for number in range(3) for life in (0, 1)]
    statuses = await asyncio.gather(*(run_worker(tmp_path, name, books, after) for name, after in lives))
    assert statuses == [0 if after is None else -9 for _, after in lives]
    allocator = Allocator(datastore, SystemClock(), chance)
    for handle in sorted(books.doubtful):
        await allocator.release_by_handle(handle)
    snapshot = await read_snapshot(datastore, SystemClock(), chance)
    assert not [finding for finding in audit(snapshot, live=books.held.keys()) if "claim" not in finding.kind]
    assert holders(snapshot) == {address: handle for handle, addresses in books.held.items() for address in addresses}
    await datastore.close()
