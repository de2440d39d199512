"""The reverse index of handles: how many addresses a handle holds in each block.

A handle is counted up before its block is written, and down after: a crash in between leaves it
counting too many, never too few. Handles that count too many are repaired by releasing them.
"""

from __future__ import annotations

import msgspec

from tortie.api.ipam import IPAMHandle
from tortie.base.errors import Conflict
from tortie.datastore.keys import handle_key
from tortie.ipam.errors import Contention
from tortie.ipam.store import ATTEMPTS, Store


class Counted(msgspec.Struct, frozen=True, gc=False):
    """One change of a handle's count that may have to be taken back.

    `created` tells the handle from one of the same name made after it was deleted.
    """

    handle: str
    block: str
    created: int


def plus(handle: IPAMHandle | None, block: str, count: int) -> IPAMHandle:
    """The handle with `count` more addresses in a block."""
    blocks = dict(handle.block) if handle else {}
    return IPAMHandle(block={**blocks, block: blocks.get(block, 0) + count})


def minus(handle: IPAMHandle, block: str, count: int) -> IPAMHandle | None:
    """The handle with `count` fewer addresses in a block; None when it holds nothing any more."""
    blocks = {**handle.block, block: handle.block.get(block, 0) - count}
    left = {name: number for name, number in blocks.items() if number > 0}
    return IPAMHandle(block=left) if left else None


async def increment(store: Store, handle: str, block: str, count: int) -> Counted:
    """Count addresses that are about to be assigned."""
    _, after = await store.change(handle_key(handle), IPAMHandle, lambda found: plus(found, block, count))
    return Counted(handle, block, after.created if after else 0)


async def find(store: Store, handle: str, block: str) -> Counted | None:
    """What to count down later for addresses held now; None when there is no such handle."""
    stored = await store.read(handle_key(handle), IPAMHandle)
    return Counted(handle, block, stored.created) if stored else None


async def decrement(store: Store, counted: Counted, count: int) -> None:
    """Count down, unless the handle was deleted since (and perhaps made anew by somebody else)."""
    key = handle_key(counted.handle)
    for attempt in range(ATTEMPTS):
        await store.pause(attempt)
        stored = await store.read(key, IPAMHandle)
        if stored is None or stored.created != counted.created:
            return
        try:
            await store.write(key, stored, minus(stored.value, counted.block, count))
        except Conflict:
            continue
        return
    raise Contention(key, ATTEMPTS)
