"""What happens to one block of addresses: assign in order of release, release, cool down. Pure.

An ordinal is the distance of an address from the start of its block. Every ordinal is either in
`unallocated` (a queue: the longest free first) or points from `allocations` into `attributes`. An
attribute with `releasedAt` holds addresses that are released but still cooling down.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from tortie.api.ipam import BlockAttribute, IPAMBlock
from tortie.base.addresses import Cidr
from tortie.ipam.ranges import Ranges
from tortie.ipam.timestamps import rfc3339, seconds_of

WINDOWS_HANDLE = "windows-reserved-ipam-handle"
"""Addresses that a Windows node needs for itself; they do not keep a block from being empty."""


def new_block(cidr: Cidr, owner: str, now: float) -> IPAMBlock:
    """A block with every address free. The sequence number is the time in nanoseconds.

    So no number of an earlier block of the same prefix ever comes back.
    """
    size = block_size(cidr)
    return IPAMBlock(
        cidr=str(cidr),
        affinity=owner,
        affinity_claim_time=rfc3339(now),
        allocations=(None,) * size,
        unallocated=tuple(range(size)),
        sequence_number=int(now * 1e9),
    )


def block_size(cidr: Cidr) -> int:
    """How many addresses a prefix holds."""
    return 1 << (cidr.bits - cidr.length)


def written(block: IPAMBlock) -> IPAMBlock:
    """The block as it is stored: every write moves the sequence number on by one."""
    return msgspec.structs.replace(block, sequence_number=block.sequence_number + 1)


def orphaned(block: IPAMBlock) -> IPAMBlock:
    """The block without an owner: its addresses stay held, free ones can only be borrowed."""
    return msgspec.structs.replace(block, affinity=None, affinity_claim_time=msgspec.UNSET)


def address_at(block: IPAMBlock, ordinal: int) -> Cidr:
    """The address of an ordinal."""
    cidr = Cidr.parse(block.cidr)
    return Cidr(cidr.family, cidr.address + ordinal, cidr.bits)


def ordinal_of(block: IPAMBlock, address: Cidr) -> int:
    """The inverse of `address_at`; the address must be in the block."""
    return address.address - Cidr.parse(block.cidr).address


def handle_of(attribute: BlockAttribute) -> str:
    """The handle without what an old migration left after a carriage return; empty when there is none."""
    return (attribute.handle_id or "").split("\r", 1)[0]


def attribute_at(block: IPAMBlock, ordinal: int) -> BlockAttribute | None:
    """What `allocations` points at: the holder, a cooling mark, or None for a free address."""
    index = block.allocations[ordinal]
    return None if index is None else (block.attributes or ())[index]


def holder(block: IPAMBlock, ordinal: int) -> BlockAttribute | None:
    """Who holds an address; None when it is free or cooling down."""
    attribute = attribute_at(block, ordinal)
    return None if attribute is None or attribute.released_at is not None else attribute


def held(block: IPAMBlock) -> Iterator[tuple[int, BlockAttribute]]:
    """Every ordinal that somebody holds, with its holder; cooling ones are left out."""
    for ordinal in range(len(block.allocations)):
        attribute = holder(block, ordinal)
        if attribute is not None:
            yield ordinal, attribute


def ordinals_of_handle(block: IPAMBlock, handle: str) -> tuple[int, ...]:
    """The ordinals that a handle holds."""
    return tuple(ordinal for ordinal, attribute in held(block) if handle_of(attribute) == handle)


def borrowed(block: IPAMBlock) -> tuple[int, ...]:
    """The ordinals held on behalf of another node than the owner of the block."""
    owner = (block.affinity or "").removeprefix("host:")
    nodes = ((ordinal, (attribute.secondary or {}).get("node", "")) for ordinal, attribute in held(block))
    return tuple(ordinal for ordinal, node in nodes if node and node != owner)


def is_empty(block: IPAMBlock) -> bool:
    """Whether nobody holds an address and none is cooling down; what Windows reserves does not count."""
    used = {index for index in block.allocations if index is not None}
    return all(handle_of((block.attributes or ())[index]) == WINDOWS_HANDLE for index in used)


def next_free(block: IPAMBlock, count: int, reserved: Ranges) -> tuple[int, ...]:
    """Up to `count` ordinals to assign next: the longest free first, reserved addresses skipped.

    One that somebody holds all the same (another writer's fault) is not given a second time.
    """
    start = Cidr.parse(block.cidr).address
    unheld = (ordinal for ordinal in block.unallocated if block.allocations[ordinal] is None)
    free = (ordinal for ordinal in unheld if start + ordinal not in reserved)
    return tuple(ordinal for ordinal, _ in zip(free, range(count), strict=False))


def assign(block: IPAMBlock, ordinals: Collection[int], attribute: BlockAttribute) -> IPAMBlock:
    """Give free ordinals to a holder; holders with equal attributes share one entry."""
    pointed = _point(block, ordinals, attribute)
    return msgspec.structs.replace(
        pointed,
        unallocated=tuple(ordinal for ordinal in block.unallocated if ordinal not in ordinals),
        sequence_number_for_allocation=_stamped(block, ordinals),
    )


def release(block: IPAMBlock, ordinals: Collection[int], now: float, stamp: bool = True) -> IPAMBlock:
    """Let go of held ordinals: they cool down until `collect` frees them.

    `stamp` records the block's sequence number for them, so that a second release by the old
    number is refused. The mark is rounded up to whole seconds: cooling is never cut short.
    """
    pointed = _point(block, ordinals, BlockAttribute(released_at=rfc3339(now, up=True)))
    if not stamp:
        return pointed
    return msgspec.structs.replace(pointed, sequence_number_for_allocation=_stamped(block, ordinals))


def collect(block: IPAMBlock, now: float, cooldown: int) -> IPAMBlock:
    """Free what has cooled down for `cooldown` seconds, and drop attributes that nobody uses.

    Freed ordinals join the tail of the queue in the order of their release. Gives the same object
    when there is nothing to do.
    """
    attributes = block.attributes or ()
    cooled = {index for index, attribute in enumerate(attributes) if _has_cooled(attribute, now, cooldown)}
    freed = [ordinal for ordinal, index in enumerate(block.allocations) if index in cooled]
    freed.sort(key=lambda ordinal: (_released(attribute_at(block, ordinal)), ordinal))
    kept = tuple(None if index in cooled else index for index in block.allocations)
    used = sorted({index for index in kept if index is not None})
    if len(used) == len(attributes):
        return block
    renumbered = {old: new for new, old in enumerate(used)}
    gone = {str(ordinal) for ordinal in freed}
    return msgspec.structs.replace(
        block,
        allocations=tuple(None if index is None else renumbered[index] for index in kept),
        unallocated=(*block.unallocated, *freed),
        attributes=tuple(attributes[index] for index in used),
        sequence_number_for_allocation={
            ordinal: number for ordinal, number in block.sequence_number_for_allocation.items() if ordinal not in gone
        },
    )


def _point(block: IPAMBlock, ordinals: Collection[int], attribute: BlockAttribute) -> IPAMBlock:
    """Let ordinals point at an attribute, adding it when there is no equal one."""
    attributes = block.attributes or ()
    if attribute not in attributes:
        attributes = (*attributes, attribute)
    target = attributes.index(attribute)
    allocations = tuple(target if ordinal in ordinals else index for ordinal, index in enumerate(block.allocations))
    return msgspec.structs.replace(block, allocations=allocations, attributes=attributes)


def _stamped(block: IPAMBlock, ordinals: Iterable[int]) -> dict[str, int]:
    """The sequence numbers of allocations, with the block's present one for these ordinals."""
    return block.sequence_number_for_allocation | {str(ordinal): block.sequence_number for ordinal in ordinals}


def _released(attribute: BlockAttribute | None) -> float:
    return seconds_of(attribute.released_at or "") if attribute else 0.0


def _has_cooled(attribute: BlockAttribute, now: float, cooldown: int) -> bool:
    return attribute.released_at is not None and (cooldown == 0 or now - _released(attribute) >= cooldown)
