"""The front of address management: every way to take, give back and claim addresses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from random import Random

from tortie.api.ipam import BlockAttribute, IPAMBlock, IPAMConfig
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import TortieError
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import IPAM_CONFIG_KEY, block_key, handle_key, resource_key, resource_prefix
from tortie.ipam.assign import Assigner, exactly
from tortie.ipam.auto import AutoAssigner, Job, block_limit
from tortie.ipam.catalog import Facts, read_config, read_facts, read_pools, read_reserved, write_config
from tortie.ipam.claims import Claims, claims_prefix, owner_name
from tortie.ipam.errors import Contention, InvalidRequest, NoPool, PoolNotUsable, PrefixTooSmall, UseNotAllowed
from tortie.ipam.pools import BLOCK_LENGTHS, Pool, PoolRequest, choose, pool_of
from tortie.ipam.release import Releaser
from tortie.ipam.requests import DEFAULT_BLOCK_LIMIT, Assignment, AssignRequest, Claimed, Released, ReleaseRequest
from tortie.ipam.store import ATTEMPTS, Store
from tortie.ipam.timestamps import attribute_time
from tortie.ipam.unsettled import Unsettled

USES = ("Workload", "Tunnel", "LoadBalancer")
MAX_CLAIM = 65536
"""Most blocks that one call claims."""


class Allocator:
    """Gives out addresses of one datastore. Any number of them may work on it at the same time.

    Addresses and their handle are written together, claims on blocks key by key. A crash at any point
    gives no address twice; a claim that it leaves half done is put right by whoever needs it next. An
    assignment of which the caller never heard is released by its handle.

    An address from a block that the node owns costs one read and one write: all that the choice depends
    on is read together, with the blocks that were used the last time.
    """

    def __init__(self, datastore: Datastore, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._visited: dict[tuple[str, int], list[Cidr]] = {}
        self._store = Store(datastore, clock, random)
        self._claims = Claims(self._store, clock)
        self._unsettled = Unsettled(self._store)
        self._releaser = Releaser(self._store, clock, self._claims, self._unsettled)

    async def auto_assign(self, request: AssignRequest) -> Assignment:
        """Give addresses from the pools that suit the request; may give fewer, and says why.

        When it raises, nothing that it assigned is kept.

        Raises:
            NoPool: no pool may serve the request (also PoolNotUsable, UseNotAllowed).
            UnknownNode: the node does not exist.
            BlockLimitReached: the node's blocks are full and it may own no more.
            NotEnoughAddresses: fewer are free, and the request is for all or nothing.
            InvalidRequest: an unknown use, or a limit per handle without a handle.
            Contention, Unavailable: the datastore is too busy, or away.
        """
        _check(request)
        jobs: list[Job] = []
        try:
            ahead = await self._read_ahead(request)
            is_new = request.handle is not None and ahead.is_absent(handle_key(request.handle))
            facts = await read_facts(ahead, request.owner)
            for family in _families(request):
                jobs.append(await self._job(request, family, facts, ahead))
                await self._run(request, jobs[-1], ahead, is_new)
            assignment = _assignment(jobs)
            if request.all_or_nothing:
                assignment.require(request.num4, request.num6)
        except BaseException:
            await self._undo(request, jobs)
            raise
        return assignment

    async def assign_address(
        self, address: Cidr, node: str, handle: str | None, attributes: Mapping[str, str], use: str = ""
    ) -> None:
        """Give one address that the caller names, reserved or not.

        Raises:
            AlreadyAssigned: somebody holds it, or it is cooling down.
            NoPool, PoolNotUsable: it is in no pool, or in one that is disabled.
            UseNotAllowed: its pool is not for this use; an empty use suits any pool.
            StrictAffinity: another node owns its block, and borrowing is off.
            OverlappingBlock: it has no block, and blocks of another size stand where that would be.
            UnreadableRecord: its block cannot be read.
            Contention, Unavailable: the datastore is too busy, or away.
        """
        ahead = await self._store.ahead([IPAM_CONFIG_KEY], [resource_prefix("IPPool")])
        pool = _pool_for(await read_pools(ahead), address, use)
        config = await read_config(ahead)
        assigner = Assigner(ahead, self._clock, self._unsettled)
        owner, block = f"host:{node}", await self._releaser.block_of(address, pool)
        pick = exactly(address, owner, config.strict_affinity)
        attribute = self._attribute(handle, {"node": node, **attributes})
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            if await assigner.take(block, attribute, pick, config.ip_cooldown_seconds):
                return
            await self._claims.claim(owner, block)
        raise Contention(f"address {address.text}", ATTEMPTS)

    async def release(self, requests: Iterable[ReleaseRequest]) -> Released:
        """Release addresses, block by block.

        Raises:
            ReleaseConflict: an address is not held as the request believes; none of its block is released.
            Contention, Unavailable: the datastore is too busy, or away.
        """
        return await self._releaser.release(requests)

    async def release_by_handle(self, handle: str) -> tuple[Cidr, ...]:
        """Release all that a handle holds; an unknown handle holds nothing."""
        return await self._releaser.release_by_handle(handle)

    async def addresses_of(self, handle: str) -> tuple[Cidr, ...]:
        """What a handle holds, IPv4 first."""
        return await self._releaser.holding(handle, 4) + await self._releaser.holding(handle, 6)

    async def claim_affinity(self, prefix: Cidr, node: str) -> Claimed:
        """Claim every block of a prefix for a node.

        Raises:
            PrefixTooSmall: it is smaller than a block.
            InvalidRequest: it holds too many blocks.
        """
        claimed: list[Cidr] = []
        failed: list[Cidr] = []
        for block in _blocks_of(prefix, await read_pools(self._store)):
            won = await self._claims.claim(f"host:{node}", block)
            (claimed if won else failed).append(block)
        return Claimed(tuple(claimed), tuple(failed))

    async def release_affinity(self, prefix: Cidr, node: str, only_empty: bool = False) -> tuple[Cidr, ...]:
        """Give up the node's blocks within a prefix; addresses in use stay held. Gives those released."""
        return await self._release_owned(f"host:{node}", prefix, only_empty)

    async def require_readable(self, node: str, addresses: Iterable[Cidr]) -> None:
        """Raises UnreadableRecord when a block that a node claims, or that holds an address, cannot be read."""
        wanted = list(addresses)
        for family in (4, 6):
            claimed = set(await self._claims.owned(f"host:{node}", family))
            for block in await self._releaser.blocks(family):
                if block in claimed or any(block.contains(address) for address in wanted):
                    await self._store.read(block_key(str(block)), IPAMBlock)

    async def release_pool(self, prefix: Cidr) -> None:
        """Give up every block within a pool's prefix, whoever owns it; for a pool that is disabled already."""
        cooldown = (await read_config(self._store)).ip_cooldown_seconds
        for owner, block in await self._claims.everyone():
            if prefix.contains(block):
                await self._claims.release(owner, block, cooldown, only_empty=False)

    async def ensure_block(self, request: AssignRequest) -> tuple[Cidr, ...]:
        """A block of the request's node for every family that it counts, claimed where there is none.

        Raises:
            NoPool: no pool may serve the request, or none has a free block.
        """
        _check(request)
        blocks = []
        facts = await read_facts(self._store, request.owner)
        for family in _families(request):
            job = await self._job(request, family, facts, self._store)
            block = await self._auto(self._store).ensure_block(job)
            if block is None:
                raise NoPool(f"no free IPv{family} block for {job.owner} (add an IPPool)")
            blocks.append(block)
        return tuple(blocks)

    async def get_config(self) -> IPAMConfig:
        """The settings in force."""
        return await read_config(self._store)

    async def set_config(self, config: IPAMConfig) -> str:
        """Change the settings; gives why those before could not be read, or nothing.

        Raises:
            InvalidRequest: they contradict each other.
        """
        return await write_config(self._store, config)

    async def _release_owned(self, owner: str, prefix: Cidr, only_empty: bool) -> tuple[Cidr, ...]:
        cooldown = (await read_config(self._store)).ip_cooldown_seconds
        blocks = [block for block in await self._claims.owned(owner, prefix.family) if prefix.contains(block)]
        return tuple([b for b in blocks if await self._claims.release(owner, b, cooldown, only_empty)])

    async def _read_ahead(self, request: AssignRequest) -> Store:
        """All that an assignment depends on, as it is now, with the blocks that the last one of this owner needed."""
        families, owner = _families(request), owner_name(request.owner)
        keys = [IPAM_CONFIG_KEY, *([handle_key(request.handle)] if request.handle else [])]
        keys += [] if request.use == "LoadBalancer" else [resource_key(ResourceKey("Node", "", request.node))]
        keys += [
            block_key(str(block)) for family in families for block in self._visited.get((request.owner, family), ())
        ]
        claims = [claims_prefix(owner, family) for family in families]
        return await self._store.ahead(keys, [resource_prefix("IPPool"), resource_prefix("IPReservation"), *claims])

    def _auto(self, ahead: Store) -> AutoAssigner:
        # Who claims reads claims before blocks, so nothing of that is read ahead.
        return AutoAssigner(
            self._store, self._clock, self._random, self._claims, Assigner(ahead, self._clock, self._unsettled)
        )

    async def _job(self, request: AssignRequest, family: int, facts: Facts, ahead: Store) -> Job:
        return Job(
            owner=request.owner,
            family=family,
            count=request.count(family),
            pools=choose(facts.pools, _pool_request(request, family, facts.labels)),
            all_pools=facts.pools,
            labels=facts.labels,
            config=facts.config,
            limit=block_limit(request.max_blocks, facts.config.max_blocks_per_host),
            reserved=await read_reserved(ahead, family),
            attribute=self._attribute(request.handle, request.attributes),
            owned=await Claims(ahead, self._clock).owned(request.owner, family),
        )

    def _attribute(self, handle: str | None, attributes: Mapping[str, str]) -> BlockAttribute:
        """What is written of a holder; since when, in any case."""
        return BlockAttribute(
            handle_id=handle, secondary={"timestamp": attribute_time(self._clock.now()), **attributes}
        )

    async def _run(self, request: AssignRequest, job: Job, ahead: Store, is_new: bool) -> None:
        """Give back what the handle holds, unless it is new, when that is its limit; else assign."""
        if request.max_per_handle and request.handle and not is_new:
            holding = await self._releaser.holding(request.handle, job.family)
            if len(holding) >= request.max_per_handle:
                job.kept += holding
                return
        await self._auto(ahead).run(job)
        self._visited[job.owner, job.family] = job.visited[-DEFAULT_BLOCK_LIMIT:]

    async def _undo(self, request: AssignRequest, jobs: Iterable[Job]) -> None:
        """Release what failed jobs assigned; what cannot be released now is released by its handle later."""
        given = [ReleaseRequest(address, request.handle) for job in jobs for address in job.given]
        if given:
            with contextlib.suppress(TortieError):
                await self._releaser.release(given)


def _check(request: AssignRequest) -> None:
    if request.use not in USES:
        raise InvalidRequest(f"use {request.use!r}: unknown (one of {', '.join(USES)})")
    if request.max_per_handle and not request.handle:
        raise InvalidRequest("max_per_handle: needs a handle")


def _families(request: AssignRequest) -> list[int]:
    return [family for family in (4, 6) if request.count(family)]


def _assignment(jobs: Iterable[Job]) -> Assignment:
    by_family = {job.family: (*job.kept, *job.given) for job in jobs}
    messages = tuple(message for job in jobs for message in job.messages)
    return Assignment(by_family.get(4, ()), by_family.get(6, ()), messages)


def _pool_request(request: AssignRequest, family: int, labels: Mapping[str, str]) -> PoolRequest:
    return PoolRequest(
        family=family,
        use=request.use,
        node=request.node,
        node_labels=labels,
        namespace_labels=request.namespace_labels,
        requested=request.pools(family),
    )


def _pool_for(pools: Iterable[Pool], address: Cidr, use: str) -> Pool:
    """The pool of an address that a caller names."""
    pool = pool_of(pools, address)
    if pool is None:
        raise NoPool(f"address {address.text}: is in no pool (add an IPPool that holds it)")
    if not pool.enabled:
        raise PoolNotUsable(f"address {address.text}: its pool {pool.name} is not enabled")
    if use and use not in pool.uses:
        raise UseNotAllowed(f"address {address.text}: its pool {pool.name} is not allowed for use {use}")
    return pool


def _blocks_of(prefix: Cidr, pools: Iterable[Pool]) -> list[Cidr]:
    """The blocks that make up a prefix, of the size that its pool says, or of the usual size."""
    pool = pool_of(pools, prefix)
    length = pool.block_length if pool else BLOCK_LENGTHS[prefix.family]
    if prefix.length > length:
        raise PrefixTooSmall(f"prefix {prefix}: smaller than the minimum, a block of /{length}")
    if 1 << (length - prefix.length) > MAX_CLAIM:
        raise InvalidRequest(f"prefix {prefix}: holds more than {MAX_CLAIM} blocks (claim a smaller one)")
    step = 1 << (prefix.bits - length)
    return [Cidr(prefix.family, address, length) for address in range(prefix.address, prefix.last + 1, step)]
