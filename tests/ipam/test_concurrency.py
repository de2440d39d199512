"""Many allocators on one datastore, dying at any write: no address is given twice, and none is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api.ipam import IPAMConfig
from tortie.base.addresses import Cidr
from tortie.base.errors import TortieError
from tortie.datastore.contract import KeyValue, Listing, Write
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.ipam.audit import audit, holders
from tortie.ipam.errors import AddressError
from tortie.ipam.requests import AssignRequest, ReleaseRequest

POOLS = {4: Cidr.parse("10.0.0.0/27"), 6: Cidr.parse("fd00::/123")}


class Died(Exception):
    """The process behind a datastore connection was killed."""


class Mortal:
    """A connection that lets others run before each call, and dies at a given write: before or after it."""

    def __init__(self, datastore: EmbeddedDatastore, chance: random.Random) -> None:
        self._datastore = datastore
        self._chance = chance
        self._writes_left = chance.randrange(1, 60)
        self._after = chance.random() < 0.5

    async def get(self, key: str) -> KeyValue | None:
        await self._others_run()
        return await self._datastore.get(key)

    async def list(self, prefix: str) -> Listing:
        await self._others_run()
        return await self._datastore.list(prefix)

    async def read(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> Mapping[str, KeyValue]:
        await self._others_run()
        return await self._datastore.read(keys, prefixes)

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        return await self._write(self._datastore.write_together, writes)

    async def create(self, key: str, value: bytes) -> int:
        return await self._write(self._datastore.create, key, value)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        return await self._write(self._datastore.update, key, value, revision)

    async def put(self, key: str, value: bytes, lifetime: int = 0) -> int:
        return await self._write(self._datastore.put, key, value, lifetime)

    async def delete(self, key: str, revision: int | None = None) -> int:
        return await self._write(self._datastore.delete, key, revision)

    async def _write(self, write: Any, *arguments: Any) -> Any:
        await self._others_run()
        self._writes_left -= 1
        if self._writes_left or not self._after:
            self._check_alive()
        revision = await write(*arguments)
        self._check_alive()
        return revision

    async def _others_run(self) -> None:
        if self._writes_left <= 0:
            raise Died
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)

    def _check_alive(self) -> None:
        if self._writes_left <= 0:
            raise Died


class Immortal(Mortal):
    """A connection that only lets others run before each call."""

    def __init__(self, datastore: EmbeddedDatastore, chance: random.Random) -> None:
        super().__init__(datastore, chance)
        self._writes_left = 1 << 62


class World:
    """What the holders of addresses know; fails at once when two of them hold the same address."""

    def __init__(self, cluster: Any, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance
        self.held: dict[str, set[Cidr]] = {}
        self.doubtful: set[str] = set()
        self.handles = 0

    async def live(self, node: str, steps: int) -> None:
        """A node at work; when its process dies, the next one starts."""
        allocator = self.cluster.another(Mortal(self.cluster.datastore, self.chance))
        for _ in range(steps):
            self.cluster.clock.time += self.chance.choice((0, 0, 1, 30))
            step = self.chance.choice((self.assign, self.assign, self.release, self.drop, self.give_up))
            try:
                await step(allocator, node)
            except Died:
                allocator = self.cluster.another(Mortal(self.cluster.datastore, self.chance))
            except AddressError:
                continue

    async def assign(self, allocator: Any, node: str) -> None:
        self.handles += 1
        handle = f"h{self.handles}"
        self.doubtful.add(handle)
        num4, num6 = self.chance.choice(((1, 0), (1, 1), (0, 2), (5, 0)))
        request = AssignRequest(
            node=node,
            num4=num4,
            num6=num6,
            handle=handle,
            attributes={"node": node},
            all_or_nothing=self.chance.random() < 0.5,
        )
        given = await allocator.auto_assign(request)
        taken = {address for addresses in self.held.values() for address in addresses}
        assert not taken & {*given.v4, *given.v6}
        assert len({*given.v4, *given.v6}) == len(given.v4) + len(given.v6)
        self.held[handle] = {*given.v4, *given.v6}
        self.doubtful.discard(handle)

    def choose(self) -> tuple[str, set[Cidr]] | None:
        """A handle to release; from now on its addresses may be given to others."""
        if not self.held:
            return None
        handle = self.chance.choice(sorted(self.held))
        self.doubtful.add(handle)
        return handle, self.held.pop(handle)

    async def release(self, allocator: Any, node: str) -> None:
        if chosen := self.choose():
            handle, addresses = chosen
            released = await allocator.release([ReleaseRequest(address, handle) for address in sorted(addresses)])
            assert set(released.released) == addresses
            self.doubtful.discard(handle)

    async def drop(self, allocator: Any, node: str) -> None:
        if chosen := self.choose():
            handle, addresses = chosen
            assert set(await allocator.release_by_handle(handle)) == addresses
            self.doubtful.discard(handle)

    async def give_up(self, allocator: Any, node: str) -> None:
        """Give up the node's blocks, as when it leaves; with addresses in them they stay without an owner."""
        if self.chance.random() < 0.3:
            for pool in POOLS.values():
                await allocator.release_affinity(pool, node, only_empty=self.chance.random() < 0.5)


async def run_world(seed: int, config: IPAMConfig, cluster: Any) -> None:
    chance = random.Random(seed)
    world = World(cluster, chance)
    await cluster.allocator.set_config(config)
    await cluster.pool("v4", str(POOLS[4]), blockSize=29)
    await cluster.pool("v6", str(POOLS[6]), blockSize=126)
    nodes = [f"n{number}" for number in range(5)]
    for node in nodes:
        await cluster.node(node)
    await asyncio.gather(*(world.live(node, 20) for node in nodes))
    for handle in sorted(world.doubtful):
        await cluster.allocator.release_by_handle(handle)
    await check(world)


async def check(world: World) -> None:
    """Exactly what the holders know is held; and once all is released, nothing whatever is left."""
    snapshot = await world.cluster.snapshot()
    assert not audit(snapshot, live=world.held.keys())
    expected = {address.text: handle for handle, addresses in world.held.items() for address in addresses}
    assert holders(snapshot) == expected
    for handle in sorted(world.held):
        await world.cluster.allocator.release_by_handle(handle)
    world.cluster.clock.time += 3600
    for pool in POOLS.values():
        await world.cluster.allocator.release_pool(pool)
    left = await world.cluster.snapshot()
    assert not left.handles
    assert not left.claims
    assert all(block.affinity is None for block in left.blocks.values())


@pytest.mark.parametrize(
    "config",
    [
        IPAMConfig(auto_allocate_blocks=True),
        IPAMConfig(auto_allocate_blocks=True, strict_affinity=True, max_blocks_per_host=2),
        IPAMConfig(auto_allocate_blocks=True, ip_cooldown_seconds=45),
    ],
    ids=["borrowing", "strict", "cooling"],
)
@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 2**32))
async def test_allocators_that_die_at_any_write_give_no_address_twice_and_lose_none(
    seed: int, config: IPAMConfig, make_cluster: Any
) -> None:
    async with make_cluster() as cluster:
        await run_world(seed, config, cluster)


async def test_two_assignments_at_once_for_the_last_address_give_it_to_one(small: Any) -> None:
    await small.pool("small", "10.0.0.0/30", blockSize=30)
    await small.allocator.auto_assign(AssignRequest(node="a", num4=3, handle="rest"))
    requests = [AssignRequest(node=node, num4=1, handle=node, all_or_nothing=True) for node in "ab"]
    results = await asyncio.gather(
        *(small.another().auto_assign(request) for request in requests), return_exceptions=True
    )
    assert sum(isinstance(result, TortieError) for result in results) == 1
    assert not audit(await small.snapshot())


@given(seed=st.integers(0, 2**32))
async def test_a_handle_released_while_it_is_assigned_to_never_counts_too_few(seed: int, make_cluster: Any) -> None:
    chance = random.Random(seed)
    async with make_cluster() as cluster:
        await cluster.node("a")
        await cluster.pool("v4", "10.0.0.0/29", blockSize=30)
        await cluster.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="other"))
        request = AssignRequest(node="a", num4=1, handle="h")

        async def take_and_drop() -> None:
            allocator = cluster.another(Immortal(cluster.datastore, chance))
            for _ in range(4):
                await allocator.auto_assign(request)
                await allocator.release_by_handle("h")

        await asyncio.gather(*(take_and_drop() for _ in range(3)))
        findings = audit(await cluster.snapshot())
        assert not findings
