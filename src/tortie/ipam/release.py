"""Releasing addresses, one by one or all of a handle, and what follows: counts, and blocks nobody needs."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from tortie.api.ipam import IPAMBlock, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import Conflict
from tortie.datastore.keys import BLOCK_PREFIX, IPAM_CONFIG_KEY, block_key, handle_key, resource_prefix
from tortie.ipam.block import (
    address_at,
    collect,
    handle_of,
    holder,
    is_empty,
    ordinal_of,
    ordinals_of_handle,
    release,
    written,
)
from tortie.ipam.catalog import read_config, read_labels, read_pools
from tortie.ipam.claims import Claims
from tortie.ipam.errors import Contention, OverlappingBlock, ReleaseConflict, UnknownNode
from tortie.ipam.handles import minus, without
from tortie.ipam.pools import Pool, matches, pool_of
from tortie.ipam.requests import LOAD_BALANCER, Released, ReleaseRequest
from tortie.ipam.store import ATTEMPTS, Store, Stored, Wish
from tortie.ipam.unsettled import Unsettled


class Releaser:
    """Releases addresses."""

    def __init__(self, store: Store, clock: Clock, claims: Claims, unsettled: Unsettled) -> None:
        self._store = store
        self._clock = clock
        self._claims = claims
        self._unsettled = unsettled

    async def release(self, requests: Iterable[ReleaseRequest]) -> Released:
        """Release addresses, block by block; those of a block all or none.

        Raises:
            ReleaseConflict: an address is held by another handle or was assigned anew since. Other
                blocks are dealt with first.
            Contention: others changed a block every time.
        """
        ahead = await self._read_ahead()
        pools, cooldown = await read_pools(ahead), (await read_config(ahead)).ip_cooldown_seconds
        results, conflicts = [], []
        for block, wanted in (await self._by_block(requests, pools)).items():
            try:
                released, rest = await self._release_in(block, wanted, cooldown)
                results.append(released)
                await self._give_up(rest, pools, cooldown)
            except ReleaseConflict as conflict:
                conflicts.append(conflict)
        if conflicts:
            raise conflicts[0]
        return Released(
            tuple(address for result in results for address in result.released),
            tuple(address for result in results for address in result.unallocated),
        )

    async def release_by_handle(self, handle: str) -> tuple[Cidr, ...]:
        """Release everything that a handle holds, and the handle; an unknown one holds nothing.

        Blocks in which the handle holds nothing after all are rewritten, so that an assignment
        under way must start again; the handle is deleted only as it was read before.

        Raises:
            Contention: others changed the handle or a block every time.
        """
        released: list[Cidr] = []
        await self._unsettled.settle(handle)
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            ahead = await self._read_ahead(handle_key(handle))
            stored = await ahead.read(handle_key(handle), IPAMHandle)
            if stored is None:
                return tuple(released)
            pools, cooldown = await read_pools(ahead), (await read_config(ahead)).ip_cooldown_seconds
            try:
                await self._release_handle(handle, stored, released, pools, cooldown)
            except Conflict:
                continue
            return tuple(released)
        raise Contention(f"release of handle {handle}", ATTEMPTS)

    async def _release_handle(
        self, handle: str, stored: Stored[IPAMHandle], released: list[Cidr], pools: Sequence[Pool], cooldown: int
    ) -> None:
        """Release what a handle holds, block by block; the last takes the handle with it. Raises Conflict."""
        left: Stored[IPAMHandle] | None = stored
        for block in map(Cidr.parse, stored.value.block):
            assert left is not None, "a handle is there as long as it counts blocks"
            addresses, rest, left = await self._release_handle_in(block, handle, left, cooldown)
            released += addresses
            await self._give_up(rest, pools, cooldown)
        if left is not None:
            await self._store.commit(Wish(handle_key(handle), left, None))

    async def _read_ahead(self, *keys: str) -> Store:
        return await self._store.ahead([IPAM_CONFIG_KEY, *keys], [resource_prefix("IPPool")])

    async def holding(self, handle: str, family: int) -> tuple[Cidr, ...]:
        """The addresses of a family that a handle holds, as its blocks say."""
        stored = await self._store.read(handle_key(handle), IPAMHandle)
        addresses: list[Cidr] = []
        for block in map(Cidr.parse, stored.value.block if stored else ()):
            found = await self._store.read(block_key(str(block)), IPAMBlock) if block.family == family else None
            if found:
                addresses += (address_at(found.value, ordinal) for ordinal in ordinals_of_handle(found.value, handle))
        return tuple(addresses)

    async def _by_block(
        self, requests: Iterable[ReleaseRequest], pools: Sequence[Pool]
    ) -> dict[Cidr, list[ReleaseRequest]]:
        """Requests by block; where there is none, by the address itself."""
        grouped: dict[Cidr, list[ReleaseRequest]] = defaultdict(list)
        for request in requests:
            grouped[await self._holding_block(request.address, pools) or request.address].append(request)
        return grouped

    async def _holding_block(self, address: Cidr, pools: Sequence[Pool]) -> Cidr | None:
        """The block that holds an address: that of its pool's size, or whichever does among all."""
        pool = pool_of(pools, address)
        if pool and await self._store.raw(block_key(str(pool.block_of(address)))):
            return pool.block_of(address)
        return next((block for block in await self.blocks(address.family) if block.contains(address)), None)

    async def block_of(self, address: Cidr, pool: Pool) -> Cidr:
        """The block to take an address from: the one that holds it, or the one to make.

        Raises:
            OverlappingBlock: none holds it, and the one to make would overlap others.
        """
        if found := await self._holding_block(address, [pool]):
            return found
        block = pool.block_of(address)
        others = [other for other in await self.blocks(address.family) if other.overlaps(block)]
        if others:
            raise OverlappingBlock(address.text, str(block), ", ".join(map(str, others)))
        return block

    async def blocks(self, family: int) -> list[Cidr]:
        """All blocks of a family, readable or not."""
        return [Cidr.parse(name.name) for name in await self._store.names(f"{BLOCK_PREFIX}ipv{family}/")]

    async def _release_in(
        self, block: Cidr, requests: Sequence[ReleaseRequest], cooldown: int
    ) -> tuple[Released, IPAMBlock | None]:
        """What became of the requests, and of the block."""
        addresses = tuple(request.address for request in requests)
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            stored = await self._store.read(block_key(str(block)), IPAMBlock)
            if stored is None:
                return Released(unallocated=addresses), None
            current = collect(stored.value, self._clock.now(), cooldown)
            ordinals = releasable(current, requests)
            done = {address_at(current, ordinal) for ordinal in ordinals}
            free = tuple(address for address in addresses if address not in done)
            released = Released(tuple(address for address in addresses if address in done), free)
            if not ordinals:
                return released, stored.value
            wish = self._wish(stored, release(current, ordinals, self._clock.now()), cooldown)
            with contextlib.suppress(Conflict):
                after, *_ = await self._store.commit(wish, *await self._counts(current, ordinals))
                return released, after.value if after else None
        raise Contention(f"release in block {block}", ATTEMPTS)

    async def _counts(self, block: IPAMBlock, ordinals: Collection[int]) -> list[Wish]:
        """The handles of these ordinals, without them."""
        holders = (holder(block, ordinal) for ordinal in ordinals)
        handles = Counter(handle_of(attribute) for attribute in holders if attribute)
        found = {handle: await self._store.read(handle_key(handle), IPAMHandle) for handle in sorted(handles) if handle}
        return [
            Wish(handle_key(handle), stored, minus(stored.value, block.cidr, handles[handle]))
            for handle, stored in found.items()
            if stored
        ]

    async def _release_handle_in(
        self, block: Cidr, handle: str, stored: Stored[IPAMHandle], cooldown: int
    ) -> tuple[tuple[Cidr, ...], IPAMBlock | None, Stored[IPAMHandle] | None]:
        """The addresses released, the block that remains, and the handle without it. Raises Conflict."""
        wishes = [Wish(handle_key(handle), stored, without(stored.value, str(block)))]
        found = await self._store.read(block_key(str(block)), IPAMBlock)
        addresses: tuple[Cidr, ...] = ()
        if found:
            now = self._clock.now()
            current = collect(found.value, now, cooldown)
            ordinals = ordinals_of_handle(current, handle)
            addresses = tuple(address_at(current, ordinal) for ordinal in ordinals)
            wishes.append(self._wish(found, release(current, ordinals, now, stamp=False), cooldown))
        left, *rest = await self._store.commit(*wishes)
        return addresses, rest[0].value if rest and rest[0] else None, left

    def _wish(self, stored: Stored[IPAMBlock], released: IPAMBlock, cooldown: int) -> Wish:
        """A block after a release: deleted when it is empty and nobody's."""
        rest = collect(released, self._clock.now(), cooldown)
        return Wish(block_key(rest.cidr), stored, None if rest.affinity is None and is_empty(rest) else written(rest))

    async def _give_up(self, block: IPAMBlock | None, pools: Sequence[Pool], cooldown: int) -> None:
        """Release the claim on an empty block that its owner has no business with any more."""
        if block is None or block.affinity is None or not is_empty(block):
            return
        cidr = Cidr.parse(block.cidr)
        pool = pool_of(pools, cidr)
        if block.affinity == LOAD_BALANCER or (pool and not await self._selects(pool, block.affinity)):
            await self._claims.release(block.affinity, cidr, cooldown)

    async def _selects(self, pool: Pool, owner: str) -> bool:
        """Whether a pool is for the owner of one of its blocks; for a node that is gone, it stays as it is."""
        try:
            return matches(pool.node_selector, await read_labels(self._store, owner))
        except UnknownNode:
            return True


def releasable(block: IPAMBlock, requests: Iterable[ReleaseRequest]) -> tuple[int, ...]:
    """The ordinals of those requested that are held.

    Raises:
        ReleaseConflict: one is not held as its request believes.
    """
    ordinals = []
    for request in requests:
        ordinal = ordinal_of(block, request.address)
        attribute = holder(block, ordinal)
        if attribute is None:
            continue
        if request.handle is not None and handle_of(attribute) != request.handle:
            raise ReleaseConflict(
                f"address {request.address.text}: held by handle {attribute.handle_id}, not by {request.handle}"
            )
        number = block.sequence_number_for_allocation.get(str(ordinal), 0)
        if request.sequence_number is not None and number != request.sequence_number:
            raise ReleaseConflict(
                f"address {request.address.text}: assigned anew since it was looked at "
                f"(sequence number {number}, not {request.sequence_number}; look again)"
            )
        ordinals.append(ordinal)
    return tuple(dict.fromkeys(ordinals))
