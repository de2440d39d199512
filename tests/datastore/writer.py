"""A process that writes until killed, or raises a counter (run by the tests with a task, a file and an argument)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tortie.base.errors import StaleRevision
from tortie.datastore.embedded import EmbeddedDatastore


async def write_forever(path: Path, name: str) -> None:
    """Several writes at a time, over and over; prints key, revision and number of each once it is acknowledged."""
    datastore = await EmbeddedDatastore.open(path, keep_revisions=2_000)
    print("ready", flush=True)

    async def lane(lane: int) -> None:
        number = 0
        while True:
            key = f"/{name}/{lane}/{number % 5}"
            revision = await datastore.put(key, f"{number} ".encode() * 200)
            print(key, revision, number, flush=True)
            number += 1

    await asyncio.gather(*(lane(number) for number in range(3)))


async def increment(path: Path, rounds: int) -> None:
    """Raise a counter by compare-and-swap."""
    datastore = await EmbeddedDatastore.open(path)
    for _ in range(rounds):
        while not await _increment_once(datastore):
            pass
    await datastore.close()


async def _increment_once(datastore: EmbeddedDatastore) -> bool:
    stored = await datastore.get("/counter")
    assert stored is not None
    try:
        await datastore.update("/counter", str(int(stored.value) + 1).encode(), stored.revision)
    except StaleRevision:
        return False
    return True


if __name__ == "__main__":
    task, file, argument = sys.argv[1:]
    if task == "forever":
        asyncio.run(write_forever(Path(file), argument))
    else:
        asyncio.run(increment(Path(file), int(argument)))
