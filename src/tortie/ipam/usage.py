"""How full pools and blocks are. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.api.ipam import IPAMBlock
from tortie.base.addresses import Cidr
from tortie.ipam.block import block_size, borrowed
from tortie.ipam.ranges import Ranges


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Counts of addresses of one prefix.

    Args:
        cidr: the pool or block.
        capacity: all addresses.
        in_use: held, or still cooling down.
        borrowed: of these, held on behalf of another node than the block's owner.
        reserved: never given out automatically, in use or not.
        available: neither in use nor reserved.
    """

    cidr: Cidr
    capacity: int
    in_use: int
    borrowed: int
    reserved: int
    available: int


def usage(cidr: Cidr, blocks: Iterable[IPAMBlock], reserved: Ranges) -> Usage:
    """The usage of a prefix, given all blocks (those outside are not counted)."""
    inside = [block for block in blocks if cidr.contains(Cidr.parse(block.cidr))]
    addresses = [address for block in inside for address in _in_use(block)]
    set_aside = reserved.count(cidr.address, cidr.last)
    unreserved = sum(address not in reserved for address in addresses)
    return Usage(
        cidr=cidr,
        capacity=block_size(cidr),
        in_use=len(addresses),
        borrowed=sum(len(borrowed(block)) for block in inside),
        reserved=set_aside,
        available=block_size(cidr) - set_aside - unreserved,
    )


def _in_use(block: IPAMBlock) -> list[int]:
    start = Cidr.parse(block.cidr).address
    return [start + ordinal for ordinal, index in enumerate(block.allocations) if index is not None]
