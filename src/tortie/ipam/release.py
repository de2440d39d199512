"""Releasing addresses, one by one or all of a handle, and what follows: counts, and blocks nobody needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from tortie.api.ipam import IPAMBlock, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import Conflict
from tortie.datastore.keys import BLOCK_PREFIX, block_key, handle_key
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
from tortie.ipam.handles import Counted, decrement, find
from tortie.ipam.pools import Pool, matches, pool_of
from tortie.ipam.requests import LOAD_BALANCER, Released, ReleaseRequest
from tortie.ipam.store import ATTEMPTS, Store, Stored


class Releaser:
    """Releases addresses."""

    def __init__(self, store: Store, clock: Clock, claims: Claims) -> None:
        self._store = store
        self._clock = clock
        self._claims = claims

    async def release(self, requests: Iterable[ReleaseRequest]) -> Released:
        """Release addresses, block by block; those of a block all or none.

        Raises:
            ReleaseConflict: an address is held by another handle or was assigned anew since. Other
                blocks are dealt with first.
            Contention: others changed a block every time.
        """
        pools = await read_pools(self._store)
        cooldown = (await read_config(self._store)).ip_cooldown_seconds
        results, conflicts = [], []
        for block, wanted in (await self._by_block(requests, pools)).items():
            try:
                results.append(await self._release_in(block, wanted, cooldown))
            except ReleaseConflict as conflict:
                conflicts.append(conflict)
            await self._give_up(block, pools, cooldown)
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
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            stored = await self._store.read(handle_key(handle), IPAMHandle)
            if stored is None:
                return tuple(released)
            cooldown = (await read_config(self._store)).ip_cooldown_seconds
            pools = await read_pools(self._store)
            for block in map(Cidr.parse, stored.value.block):
                released += await self._release_handle_in(block, handle, cooldown)
                await self._give_up(block, pools, cooldown)
            if await self._store.remove(handle_key(handle), stored):
                return tuple(released)
        raise Contention(f"release of handle {handle}", ATTEMPTS)

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

    async def _release_in(self, block: Cidr, requests: Sequence[ReleaseRequest], cooldown: int) -> Released:
        addresses = tuple(request.address for request in requests)
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            stored = await self._store.read(block_key(str(block)), IPAMBlock)
            if stored is None:
                return Released(unallocated=addresses)
            current = collect(stored.value, self._clock.now(), cooldown)
            ordinals = releasable(current, requests)
            counts = await self._counts(current, ordinals)
            if not ordinals or await self._write(stored, release(current, ordinals, self._clock.now()), cooldown):
                for counted, count in counts:
                    await decrement(self._store, counted, count)
                done = {address_at(current, ordinal) for ordinal in ordinals}
                free = tuple(address for address in addresses if address not in done)
                return Released(tuple(address for address in addresses if address in done), free)
        raise Contention(f"release in block {block}", ATTEMPTS)

    async def _counts(self, block: IPAMBlock, ordinals: Collection[int]) -> list[tuple[Counted, int]]:
        """What to count down once these ordinals are released."""
        holders = (holder(block, ordinal) for ordinal in ordinals)
        handles = Counter(handle_of(attribute) for attribute in holders if attribute)
        found = [(await find(self._store, handle, block.cidr), count) for handle, count in handles.items() if handle]
        return [(counted, count) for counted, count in found if counted]

    async def _release_handle_in(self, block: Cidr, handle: str, cooldown: int) -> tuple[Cidr, ...]:
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            stored = await self._store.read(block_key(str(block)), IPAMBlock)
            if stored is None:
                return ()
            now = self._clock.now()
            current = collect(stored.value, now, cooldown)
            ordinals = ordinals_of_handle(current, handle)
            if await self._write(stored, release(current, ordinals, now, stamp=False), cooldown):
                return tuple(address_at(current, ordinal) for ordinal in ordinals)
        raise Contention(f"release of handle {handle} in block {block}", ATTEMPTS)

    async def _write(self, stored: Stored[IPAMBlock], released: IPAMBlock, cooldown: int) -> bool:
        """Write a block after a release, or delete it when it is empty and nobody's."""
        rest = collect(released, self._clock.now(), cooldown)
        wanted = None if rest.affinity is None and is_empty(rest) else written(rest)
        try:
            await self._store.write(block_key(rest.cidr), stored, wanted)
        except Conflict:
            return False
        return True

    async def _give_up(self, block: Cidr, pools: Sequence[Pool], cooldown: int) -> None:
        """Release the claim on an empty block that its owner has no business with any more."""
        stored = await self._store.read(block_key(str(block)), IPAMBlock)
        if stored is None or stored.value.affinity is None or not is_empty(stored.value):
            return
        pool = pool_of(pools, block)
        if stored.value.affinity == LOAD_BALANCER or (pool and not await self._selects(pool, stored.value.affinity)):
            await self._claims.release(stored.value.affinity, block, cooldown)

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
