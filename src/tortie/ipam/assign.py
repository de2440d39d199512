"""Taking addresses out of one block: read it, write it with its handle; again when others were faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tortie.api.ipam import BlockAttribute, IPAMBlock, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import Conflict, OutcomeUnknown
from tortie.datastore.keys import block_key, handle_key
from tortie.ipam.block import address_at, assign, attribute_at, collect, next_free, ordinal_of, written
from tortie.ipam.errors import AlreadyAssigned, Contention, StrictAffinity
from tortie.ipam.handles import plus
from tortie.ipam.ranges import Ranges
from tortie.ipam.store import ATTEMPTS, Store, Stored, Wish
from tortie.ipam.unsettled import Unsettled

Pick = Callable[[IPAMBlock], Sequence[int] | None]
"""Which ordinals of a block to take; None when the block is not to be used at all."""


def any_of(count: int, reserved: Ranges, owner: str | None) -> Pick:
    """Up to `count` free ordinals, of a block of this owner, or of anybody's when that is None."""

    def pick(block: IPAMBlock) -> Sequence[int] | None:
        return next_free(block, count, reserved) if owner in (None, block.affinity) else None

    return pick


def exactly(address: Cidr, owner: str, strict: bool) -> Pick:
    """This one address.

    Raises:
        AlreadyAssigned: it is not free.
        StrictAffinity: the block is another's, and `strict` forbids to borrow.
    """

    def pick(block: IPAMBlock) -> Sequence[int]:
        ordinal = ordinal_of(block, address)
        if strict and block.affinity != owner:
            raise StrictAffinity(
                f"address {address.text}: is in block {block.cidr} of {block.affinity or 'nobody'}, and strict "
                f"affinity forbids {owner} to borrow (choose an address of its own blocks)"
            )
        if attribute_at(block, ordinal):
            raise AlreadyAssigned(address.text, _describe(attribute_at(block, ordinal)))
        return (ordinal,)

    return pick


class Assigner:
    """Takes addresses out of blocks."""

    def __init__(self, store: Store, clock: Clock, unsettled: Unsettled) -> None:
        self._store = store
        self._clock = clock
        self._unsettled = unsettled

    async def take(self, block: Cidr, attribute: BlockAttribute, pick: Pick, cooldown: int) -> tuple[Cidr, ...] | None:
        """Assign what `pick` chooses; None when the block is missing or not to be used.

        Block and handle are written together, or neither is.

        Raises:
            Contention: others changed the block every time.
        """
        key = block_key(str(block))
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            if attempt and attribute.handle_id is not None:
                await self._store.look_again(key, handle_key(attribute.handle_id))
            stored = await self._store.read(key, IPAMBlock)
            current = collect(stored.value, self._clock.now(), cooldown) if stored else None
            ordinals = pick(current) if current else None
            if stored is None or current is None or not ordinals:
                return None if ordinals is None else ()
            if await self._write(stored, written(assign(current, ordinals, attribute)), attribute, len(ordinals)):
                return tuple(address_at(current, ordinal) for ordinal in ordinals)
        raise Contention(f"assignment in block {block}", ATTEMPTS)

    async def _write(self, stored: Stored[IPAMBlock], wanted: IPAMBlock, attribute: BlockAttribute, count: int) -> bool:
        wishes = [Wish(block_key(wanted.cidr), stored, wanted)]
        if attribute.handle_id is not None:
            key = handle_key(attribute.handle_id)
            handle = await self._store.read(key, IPAMHandle)
            wishes.append(Wish(key, handle, plus(handle.value if handle else None, wanted.cidr, count)))
        try:
            await self._store.commit(*wishes)
        except Conflict:
            return False
        except OutcomeUnknown:
            if attribute.handle_id is not None:
                self._unsettled.note(attribute.handle_id, Cidr.parse(wanted.cidr))
            raise
        return True


def _describe(attribute: BlockAttribute | None) -> str:
    if attribute is None or attribute.released_at is not None:
        return f"nobody, but cooling down since {attribute.released_at if attribute else ''}"
    facts = attribute.secondary or {}
    owner = "/".join(facts[name] for name in ("namespace", "pod") if name in facts)
    return " ".join(filter(None, (f"handle {attribute.handle_id}" if attribute.handle_id else "", owner))) or "somebody"
