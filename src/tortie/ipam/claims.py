"""Who owns which block: claims on blocks, each change of block and claim one conditional write of both.

The block says who owns it; affinities are the index by owner. Other writers take a block step by
step, and leave claims that are `pending` or `pendingDeletion` when they die: whoever finds one goes
on from there. A claim is read before its block and changes with it, so a claim that is still as it
was read cannot belong to a block that appeared since.
"""

from __future__ import annotations

from tortie.api.ipam import BlockAffinity, IPAMBlock
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import Conflict
from tortie.base.logs import Logger
from tortie.datastore.keys import (
    HOST_AFFINITY_PREFIX,
    VIRTUAL_AFFINITY_PREFIX,
    VIRTUAL_OWNER,
    affinity_key,
    affinity_prefix,
    block_key,
    parse_key,
)
from tortie.ipam.block import collect, is_empty, new_block, orphaned, written
from tortie.ipam.errors import Contention
from tortie.ipam.store import ATTEMPTS, Store, Stored, Unreadable, Wish, log_unreadable

CONFIRMED = BlockAffinity(state="confirmed")
SETTLED = frozenset({"confirmed", ""})
"""States that let the owner use the block at once; very old writers stored none."""

_log = Logger(__name__)


def owner_name(owner: str) -> str:
    """The owner as keys spell it: a host by its bare name."""
    return owner.removeprefix("host:")


def full_owner(name: str) -> str:
    """The inverse of `owner_name`."""
    return name if name.startswith(VIRTUAL_OWNER) else f"host:{name}"


def claims_prefix(name: str, family: int) -> str:
    """How the keys of all claims of an owner on blocks of a family begin."""
    return f"{affinity_prefix(name)}ipv{family}/block/"


class Claims:
    """Claims and releases blocks for their owners (`host:<node>` or `virtual:<name>`)."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def owned(self, owner: str, family: int) -> list[Cidr]:
        """The blocks that an owner claims, in whatever state, by address."""
        names = await self._store.names(claims_prefix(owner_name(owner), family))
        return sorted(Cidr.parse(name.name) for name in names)

    async def everyone(self, unreadable: Unreadable = log_unreadable) -> dict[tuple[str, Cidr], BlockAffinity]:
        """All claims, by owner (as blocks spell it) and block; what cannot be read is told, and left out."""
        found = {}
        for prefix in (HOST_AFFINITY_PREFIX, VIRTUAL_AFFINITY_PREFIX):
            for key, stored in (await self._store.list_values(prefix, BlockAffinity, unreadable)).items():
                if name := parse_key(key):
                    found[full_owner(name.namespace), Cidr.parse(name.name)] = stored.value
        return found

    async def claim(self, owner: str, block: Cidr) -> Stored[IPAMBlock] | None:
        """Make a block the owner's, wherever an earlier claim left off; None when another owns it.

        Raises:
            Contention: others changed the claim every time.
        """
        key = _claim_key(owner, block)
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            try:
                return await self._claim(key, owner, block)
            except Conflict:
                continue
        raise Contention(f"claim of block {block} for {owner}", ATTEMPTS)

    async def _claim(self, key: str, owner: str, block: Cidr) -> Stored[IPAMBlock] | None:
        claim = await self._store.read(key, BlockAffinity)
        found = await self._store.read(block_key(str(block)), IPAMBlock)
        if found and found.value.affinity != owner:
            if claim:
                await self._store.remove(key, claim)
            return None
        if found and claim and claim.value.state in SETTLED:
            return found
        wanted = written(found.value) if found else new_block(block, owner, self._clock.now())
        mine, _ = await self._store.commit(Wish(block_key(str(block)), found, wanted), Wish(key, claim, CONFIRMED))
        _log.info("block claimed", owner=owner, block=str(block))
        return mine

    async def release(
        self, owner: str | None, block: Cidr, cooldown: int, only_empty: bool = True, number: int = 0
    ) -> bool:
        """Give up a block; whether the owner is rid of it.

        An empty block is deleted, any other (unless `only_empty`) keeps its addresses without an
        owner. With a `number`, only a block that still has this sequence number is given up.

        Raises:
            Contention: others changed the block every time.
        """
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            claim = await self._store.read(_claim_key(owner, block), BlockAffinity) if owner else None
            found = await self._store.read(block_key(str(block)), IPAMBlock)
            if found is None or found.value.affinity != owner:
                if claim:
                    await self._store.remove(_claim_key(owner, block), claim)
                return True
            if not self._may_go(found.value, cooldown, only_empty, number):
                return False
            try:
                await self._release(owner, found, claim, cooldown)
            except Conflict:
                continue
            return True
        raise Contention(f"release of block {block} by {owner}", ATTEMPTS)

    def _may_go(self, block: IPAMBlock, cooldown: int, only_empty: bool, number: int) -> bool:
        empty = is_empty(collect(block, self._clock.now(), cooldown))
        return (empty or not only_empty) and number in (0, block.sequence_number)

    async def _release(
        self, owner: str | None, found: Stored[IPAMBlock], claim: Stored[BlockAffinity] | None, cooldown: int
    ) -> None:
        """Give up a block as it was read, and the claim on it."""
        rest = collect(found.value, self._clock.now(), cooldown)
        block = Cidr.parse(found.value.cidr)
        wishes = [Wish(block_key(str(block)), found, None if is_empty(rest) else written(orphaned(rest)))]
        if claim:
            wishes.append(Wish(_claim_key(owner, block), claim, None))
        await self._store.commit(*wishes)
        _log.info("block released", owner=owner, block=str(block), deleted=is_empty(rest))


def _claim_key(owner: str | None, block: Cidr) -> str:
    return affinity_key(owner_name(owner or ""), str(block))
