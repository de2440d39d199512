"""A process in a mount namespace of its own that fills a small disk and frees it again (run by the tests)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tortie.base.errors import Unavailable
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore


async def fill_and_recover(folder: Path) -> None:
    """Write until the disk is full, free it, and write again."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    datastore = await EmbeddedDatastore.open(folder / "store.db")
    acknowledged = await write_until_full(datastore)
    assert 0 < acknowledged < 10_000, acknowledged
    listing = await datastore.list("/")
    assert len(listing.items) == listing.revision == acknowledged
    ballast.unlink()
    assert await datastore.put("/after", b"again") == acknowledged + 1
    await datastore.close()
    print("recovered")


async def write_until_full(datastore: Datastore) -> int:
    """How many writes were acknowledged before the disk was full."""
    for number in range(10_000):
        try:
            await datastore.put(f"/key/{number}", bytes(8192))
        except Unavailable:
            return number
    return 10_000


if __name__ == "__main__":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", sys.argv[1]], check=True)
    asyncio.run(fill_and_recover(Path(sys.argv[1])))
