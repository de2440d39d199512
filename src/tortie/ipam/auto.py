"""Automatic assignment for one family: from the owner's blocks, then new blocks, then borrowed addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from random import Random

import msgspec

from tortie.api.ipam import BlockAttribute, IPAMBlock, IPAMConfig
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.logs import Logger
from tortie.datastore.keys import BLOCK_PREFIX
from tortie.ipam.assign import Assigner, any_of
from tortie.ipam.block import collect, is_empty
from tortie.ipam.candidates import free_blocks, is_reserved
from tortie.ipam.claims import Claims
from tortie.ipam.errors import BlockLimitReached, UnreadableRecord
from tortie.ipam.pools import Pool, matches, pool_of
from tortie.ipam.ranges import Ranges
from tortie.ipam.requests import DEFAULT_BLOCK_LIMIT
from tortie.ipam.store import ATTEMPTS, Store
from tortie.ipam.timestamps import seconds_of

_log = Logger(__name__)

RECLAIM_SECONDS = 60
"""An empty block of another node may be taken when it was claimed at least this long ago."""


class Job(msgspec.Struct, kw_only=True):
    """One family of one request, and what is done so far.

    Args:
        owner: whose blocks serve it, as blocks store it.
        count: how many addresses are wanted.
        pools: those that may serve it, best first; `all_pools` also tell where given up blocks lie.
        labels: of the node.
        limit: most blocks that the owner may have of this family.
        attribute: what is written for the addresses.
        owned: the owner's blocks.
        visited: those looked into, in this order: what to read ahead next time.
        given: addresses assigned so far.
        kept: addresses that the handle held before, and gets back.
        messages: why there are not more.
    """

    owner: str
    family: int
    count: int
    pools: Sequence[Pool]
    all_pools: Sequence[Pool]
    labels: Mapping[str, str]
    config: IPAMConfig
    limit: int
    reserved: Ranges
    attribute: BlockAttribute
    owned: list[Cidr] = msgspec.field(default_factory=list)
    visited: list[Cidr] = msgspec.field(default_factory=list)
    given: list[Cidr] = msgspec.field(default_factory=list)
    kept: list[Cidr] = msgspec.field(default_factory=list)
    messages: list[str] = msgspec.field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many addresses are still to be found."""
        return self.count - len(self.given)


def block_limit(requested: int, configured: int) -> int:
    """The smaller of two limits of which 0 is none; the default when both are 0."""
    return min((limit for limit in (requested, configured) if limit), default=DEFAULT_BLOCK_LIMIT)


def reclaimable(block: IPAMBlock, now: float, cooldown: int) -> bool:
    """Whether an empty block may be taken from its owner, or has none."""
    claimed = block.affinity_claim_time
    old = claimed is msgspec.UNSET or now - seconds_of(claimed) >= RECLAIM_SECONDS
    return (old or block.affinity is None) and is_empty(collect(block, now, cooldown))


class AutoAssigner:
    """Carries out jobs."""

    def __init__(self, store: Store, clock: Clock, random: Random, claims: Claims, assigner: Assigner) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._claims = claims
        self._assigner = assigner

    async def run(self, job: Job) -> None:
        """Find the addresses; what could not be found is said in the job's messages.

        Raises:
            BlockLimitReached: the owner's blocks do not suffice and it may have no more.
            Contention: others were faster every time.
        """
        await self._give_up_deselected(job)
        await self._from_owned_blocks(job)
        await self._from_new_blocks(job)
        await self._by_borrowing(job)

    async def ensure_block(self, job: Job) -> Cidr | None:
        """A block of the owner in one of the job's pools, claimed if there is none; None when all are taken."""
        for block in self._usable(job):
            try:
                if await self._claims.claim(job.owner, block):
                    return block
            except UnreadableRecord as error:
                self._skipped(job, block, error)
        return await self._claim_one(job)

    def _usable(self, job: Job) -> list[Cidr]:
        """Owned blocks in the job's pools, in the order of pools, without those reserved as a whole."""
        blocks = [block for pool in job.pools for block in job.owned if pool_of(job.pools, block) == pool]
        return [block for block in blocks if not is_reserved(block, job.reserved)]

    async def _give_up_deselected(self, job: Job) -> None:
        """Release empty blocks of pools that no longer select the node, or no longer exist."""
        for block in [block for block in job.owned if pool_of(job.pools, block) is None]:
            pool = pool_of(job.all_pools, block)
            if pool and matches(pool.node_selector, job.labels):
                continue
            try:
                if await self._claims.release(job.owner, block, job.config.ip_cooldown_seconds):
                    job.owned.remove(block)
            except UnreadableRecord as error:
                self._skipped(job, block, error)

    async def _from_owned_blocks(self, job: Job) -> None:
        for block in self._usable(job):
            if not job.missing:
                return
            try:
                await self._take_owned(job, block)
            except UnreadableRecord as error:
                self._skipped(job, block, error)

    def _skipped(self, job: Job, block: Cidr, error: UnreadableRecord) -> None:
        """Which addresses of it are held is unknown, so it is left alone, whoever needs one."""
        _log.warning("block unreadable", block=str(block), owner=job.owner, key=error.key, problem=error.reason)
        job.messages.append(f"block {block} is skipped: {error.key} cannot be read")

    async def _take_owned(self, job: Job, block: Cidr) -> None:
        """Take addresses from a block of the owner; a claim that was left half way is completed first."""
        if not await self._take(job, block, job.owner):
            if await self._claims.claim(job.owner, block):
                await self._take(job, block, job.owner)
            else:
                job.owned.remove(block)

    async def _take(self, job: Job, block: Cidr, owner: str | None) -> bool:
        """Take addresses from a block; false when it is missing or not this owner's."""
        job.visited.append(block)
        pick = any_of(job.missing, job.reserved, owner)
        given = await self._assigner.take(block, job.attribute, pick, job.config.ip_cooldown_seconds)
        job.given += given or ()
        return given is not None

    async def _from_new_blocks(self, job: Job) -> None:
        while job.missing and job.config.auto_allocate_blocks:
            if len(job.owned) >= job.limit:
                raise BlockLimitReached(job.owner.removeprefix("host:"), job.limit)
            block = await self._claim_one(job)
            if block is None:
                return
            job.owned.append(block)
            await self._take_owned(job, block)

    async def _claim_one(self, job: Job) -> Cidr | None:
        """Claim a free block, or else one that its owner does not need."""
        names = await self._store.names(f"{BLOCK_PREFIX}ipv{job.family}/")
        taken = [*(Cidr.parse(name.name) for name in names), *job.owned]
        for pool in job.pools:
            candidates = free_blocks(pool, job.owner, taken, job.reserved)
            for block in islice(candidates, ATTEMPTS):
                if await self._claims.claim(job.owner, block):
                    return block
        return await self._reclaim_one(job)

    async def _reclaim_one(self, job: Job) -> Cidr | None:
        now, cooldown = self._clock.now(), job.config.ip_cooldown_seconds
        for cidr, block in (await self._blocks(job.family)).items():
            pool = pool_of(job.pools, cidr)
            fits = pool and pool.block_length == cidr.length and not is_reserved(cidr, job.reserved)
            if not fits or block.affinity == job.owner or not reclaimable(block, now, cooldown):
                continue
            gone = await self._claims.release(block.affinity, cidr, cooldown, number=block.sequence_number)
            if gone and await self._claims.claim(job.owner, cidr):
                return cidr
        return None

    async def _by_borrowing(self, job: Job) -> None:
        names = ", ".join(f"{pool.name} {pool.cidr}" for pool in job.pools)
        if job.missing and job.config.strict_affinity:
            job.messages.append(f"no more free blocks for {job.owner} in pools {names}, and strict affinity is on")
            return
        for block in await self._lenders(job) if job.missing else ():
            if job.missing:
                await self._take(job, block, None)
        if job.missing:
            job.messages.append(f"no addresses left in pools {names}")

    async def _lenders(self, job: Job) -> list[Cidr]:
        """Blocks of others with free addresses, pool by pool, from a random one on: the load spreads."""
        blocks = [cidr for cidr, block in (await self._blocks(job.family)).items() if block.unallocated]
        lenders: list[Cidr] = []
        for pool in job.pools:
            inside = [block for block in blocks if block not in job.owned and pool_of(job.pools, block) == pool]
            start = self._random.randrange(len(inside)) if inside else 0
            lenders += inside[start:] + inside[:start]
        return lenders

    async def _blocks(self, family: int) -> dict[Cidr, IPAMBlock]:
        """All blocks of a family."""
        stored = await self._store.list_values(f"{BLOCK_PREFIX}ipv{family}/", IPAMBlock)
        return {Cidr.parse(block.value.cidr): block.value for block in stored.values()}
