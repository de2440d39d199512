"""The reverse index of handles: how many addresses a handle holds in each block. Pure.

A handle is counted in the same write as its block, so that both are always of one mind. Other writers count up before
they write the block, and down after: what dies in between leaves a handle that counts too many, never too few. Such a
handle is put right by releasing it.
"""

from __future__ import annotations

from tortie.api.ipam import IPAMHandle


def plus(handle: IPAMHandle | None, block: str, count: int) -> IPAMHandle:
    """The handle with `count` more addresses in a block."""
    blocks = dict(handle.block) if handle else {}
    return IPAMHandle(block={**blocks, block: blocks.get(block, 0) + count})


def minus(handle: IPAMHandle, block: str, count: int) -> IPAMHandle | None:
    """The handle with `count` fewer addresses in a block; None when it holds nothing any more."""
    blocks = {**handle.block, block: handle.block.get(block, 0) - count}
    left = {name: number for name, number in blocks.items() if number > 0}
    return IPAMHandle(block=left) if left else None


def without(handle: IPAMHandle, block: str) -> IPAMHandle | None:
    """The handle with no address in a block; None when it holds nothing any more."""
    return minus(handle, block, handle.block.get(block, 0))
