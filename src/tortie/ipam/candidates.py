"""Which block of a pool to claim next: a walk from a start of the node's own, jumping over what is taken. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tortie.base.addresses import Cidr
from tortie.base.hashes import hash64
from tortie.ipam.block import block_size
from tortie.ipam.pools import Pool
from tortie.ipam.ranges import Ranges


def free_blocks(pool: Pool, owner: str, taken: Sequence[Cidr], reserved: Ranges) -> Iterator[Cidr]:
    """Blocks of the pool that overlap none of `taken` and are not reserved as a whole, lazily.

    Nodes start at different places, so that they seldom want the same block. Whole ranges are
    jumped over, so a huge pool costs no more than what is in use of it.
    """
    shift = pool.cidr.bits - pool.block_length
    total = 1 << (pool.block_length - pool.cidr.length)
    busy = Ranges([*_taken(pool, taken, shift), *_reserved(pool, reserved, shift)])
    start = hash64(owner) % total
    for index in _walk(start, total, busy):
        yield Cidr(pool.cidr.family, pool.cidr.address + (index << shift), pool.block_length)


def is_reserved(block: Cidr, reserved: Ranges) -> bool:
    """Whether every address of a block is reserved."""
    return reserved.count(block.address, block.last) == block_size(block)


def _walk(start: int, total: int, busy: Ranges) -> Iterator[int]:
    """Every index that is not busy, from `start` upward, then from 0."""
    for first, end in ((start, total), (0, start)):
        index = first
        while index < end:
            last = busy.end_of(index)
            if last is None:
                yield index
            index = (index if last is None else last) + 1


def _taken(pool: Pool, blocks: Iterable[Cidr], shift: int) -> Iterator[tuple[int, int]]:
    """Indices of the pool's blocks that touch any of these, whatever size they have."""
    for block in blocks:
        if pool.cidr.contains(block):
            yield (block.address - pool.cidr.address) >> shift, (block.last - pool.cidr.address) >> shift


def _reserved(pool: Pool, reserved: Ranges, shift: int) -> Iterator[tuple[int, int]]:
    """Indices of the pool's blocks that lie in a reserved range as a whole."""
    size = 1 << shift
    for first, last in reserved.within(pool.cidr.address, pool.cidr.last):
        low = (first - pool.cidr.address + size - 1) >> shift
        high = ((last - pool.cidr.address + 1) >> shift) - 1
        if low <= high:
            yield low, high
