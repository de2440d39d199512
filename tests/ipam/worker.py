"""One process that takes and releases addresses at random until it is done or killed; started by the tests.

It tells on standard output what it begins and what it has done. Every address that it holds is a
file that must not exist before: two holders of one address are found at once.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest, ReleaseRequest


def tell(*words: str) -> None:
    os.write(1, (" ".join(words) + "\n").encode())


def mark(folder: Path, address: Cidr, handle: str) -> None:
    (folder / address.text).open("x").write(handle)


async def work(folder: Path, name: str, steps: int) -> None:
    chance = random.Random(name)
    datastore = await EmbeddedDatastore.open(folder / "store.db")
    allocator = Allocator(datastore, SystemClock(), chance)
    held: dict[str, tuple[Cidr, ...]] = {}
    for step in range(steps):
        if held and chance.random() < 0.45:
            handle = chance.choice(sorted(held))
            tell("releasing", handle)
            for address in held[handle]:
                (folder / "held" / address.text).unlink()
            if chance.random() < 0.5:
                await allocator.release_by_handle(handle)
            else:
                await allocator.release([ReleaseRequest(address, handle) for address in held[handle]])
            del held[handle]
            tell("released", handle)
        else:
            handle = f"{name}-{step}"
            tell("assigning", handle)
            given = await allocator.auto_assign(AssignRequest(node=name[:2], num4=1, num6=1, handle=handle))
            held[handle] = (*given.v4, *given.v6)
            for address in held[handle]:
                mark(folder / "held", address, handle)
            tell("assigned", handle, *(address.text for address in held[handle]))
    await datastore.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
