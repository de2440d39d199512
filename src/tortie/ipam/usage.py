"""How full pools and blocks are. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.api.ipam import IPAMBlock
from tortie.base.addresses import Cidr
from tortie.ipam.block import block_size, borrowed, held
from tortie.ipam.ranges import Ranges


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Counts of addresses of one prefix.

    Args:
        cidr: the pool or block.
        capacity: all addresses.
        in_use: held by somebody.
        cooling: released, and not yet given again.
        borrowed: of these, held on behalf of another node than the block's owner.
        reserved: never given out automatically, in use or not.
        unknown: in blocks that cannot be read.
        available: none of these.
    """

    cidr: Cidr
    capacity: int
    in_use: int
    cooling: int
    borrowed: int
    reserved: int
    unknown: int
    available: int


def usage(cidr: Cidr, blocks: Iterable[IPAMBlock], reserved: Ranges, unreadable: Iterable[Cidr] = ()) -> Usage:
    """The usage of a prefix, given all blocks and those that cannot be read (those outside are not counted)."""
    inside = [block for block in blocks if cidr.contains(Cidr.parse(block.cidr))]
    unknown = [block for block in unreadable if cidr.contains(block)]
    taken = [address for block in inside for address in _taken(block)]
    in_use = sum(1 for block in inside for _ in held(block))
    set_aside = reserved.count(cidr.address, cidr.last)
    unreserved = sum(address not in reserved for address in taken)
    unreserved += sum(block_size(block) - reserved.count(block.address, block.last) for block in unknown)
    return Usage(
        cidr=cidr,
        capacity=block_size(cidr),
        in_use=in_use,
        cooling=len(taken) - in_use,
        borrowed=sum(len(borrowed(block)) for block in inside),
        reserved=set_aside,
        unknown=sum(block_size(block) for block in unknown),
        available=block_size(cidr) - set_aside - unreserved,
    )


def _taken(block: IPAMBlock) -> list[int]:
    """Addresses that cannot be given: held, or cooling down."""
    start = Cidr.parse(block.cidr).address
    return [start + ordinal for ordinal, index in enumerate(block.allocations) if index is not None]
