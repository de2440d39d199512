"""Records of addresses that do not parse: never overwritten, never guessed, and told with key and reason."""

from __future__ import annotations

from random import Random

import pytest

from tortie.api.ipam import IPAMConfig
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import BLOCK_PREFIX, IPAM_CONFIG_KEY
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.errors import OverlappingBlock, UnreadableRecord
from tortie.ipam.requests import AssignRequest, ReleaseRequest
from tortie.ipam.snapshot import read_snapshot
from tortie.selector.check import selector_problem

GARBAGE = b"\xff no record"
BLOCK = BLOCK_PREFIX + "ipv4/block/10.0.0.0-30"


@pytest.fixture
async def allocator(datastore: Datastore) -> Allocator:
    """Addresses of a pool with two blocks of four, and a node."""
    store = ResourceStore(datastore, SystemClock(), selector_problem)
    await store.apply(Node(metadata=Metadata(name="n1")))
    await store.apply(IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/29", block_size=30)))
    return Allocator(datastore, SystemClock(), Random(1))


async def spoil(datastore: Datastore, allocator: Allocator) -> str:
    """Let the node own one block, and make that unreadable; its key."""
    (block,) = await allocator.ensure_block(AssignRequest(node="n1", num4=1))
    key = f"{BLOCK_PREFIX}ipv4/block/{block.text}-{block.length}"
    await datastore.put(key, GARBAGE)
    return key


async def value(datastore: Datastore, key: str) -> bytes:
    stored = await datastore.get(key)
    assert stored is not None
    return stored.value


async def test_no_address_of_a_block_that_cannot_be_read_is_given(datastore: Datastore, allocator: Allocator) -> None:
    key = await spoil(datastore, allocator)
    unknown = next(iter((await read_snapshot(datastore, SystemClock(), Random())).unreadable_blocks))
    given = await allocator.auto_assign(AssignRequest(node="n1", num4=8, handle="h"))
    assert len(given.v4) == 4
    assert not any(unknown.contains(address) for address in given.v4)
    assert any(key in message for message in given.messages)
    assert await value(datastore, key) == GARBAGE
    (other,) = await allocator.ensure_block(AssignRequest(node="n1", num4=1))
    assert other != unknown


async def test_asking_for_such_an_address_by_name_says_where_and_why(
    datastore: Datastore, allocator: Allocator
) -> None:
    await datastore.put(BLOCK, GARBAGE)
    with pytest.raises(UnreadableRecord, match=f"IPAMBlock 10.0.0.0/30: is stored under {BLOCK}, but cannot be read"):
        await allocator.assign_address(Cidr.host("10.0.0.1"), "n1", "h", {})
    with pytest.raises(UnreadableRecord, match="do not delete it"):
        await allocator.release([ReleaseRequest(Cidr.host("10.0.0.1"))])
    assert await value(datastore, BLOCK) == GARBAGE


async def test_a_block_of_a_pool_that_is_gone_and_cannot_be_read_keeps_nobody_from_addresses(
    datastore: Datastore, allocator: Allocator
) -> None:
    await spoil(datastore, allocator)
    store = ResourceStore(datastore, SystemClock(), selector_problem)
    await datastore.delete("/calico/resources/v3/projectcalico.org/ippools/pool")
    await store.apply(IPPool(metadata=Metadata(name="new"), spec=IPPoolSpec(cidr="10.9.0.0/24")))
    assert (await allocator.auto_assign(AssignRequest(node="n1", num4=1, handle="h"))).v4


async def test_settings_that_cannot_be_read_are_replaced_by_new_ones(
    datastore: Datastore, allocator: Allocator
) -> None:
    await datastore.put(IPAM_CONFIG_KEY, GARBAGE)
    with pytest.raises(UnreadableRecord, match="write the settings anew with `tortie ipam configure`"):
        await allocator.auto_assign(AssignRequest(node="n1", num4=1, handle="h"))
    wanted = IPAMConfig(strict_affinity=True, auto_allocate_blocks=True)
    assert await allocator.set_config(wanted)
    assert await allocator.set_config(wanted) == ""
    assert await allocator.get_config() == wanted


async def test_settings_of_newer_writers_survive_a_change(datastore: Datastore, allocator: Allocator) -> None:
    await datastore.put(IPAM_CONFIG_KEY, b'{"strict_affinity":true,"auto_allocate_blocks":true,"newer":1}')
    await allocator.set_config(IPAMConfig(auto_allocate_blocks=True))
    assert b'"newer":1' in await value(datastore, IPAM_CONFIG_KEY)


async def test_an_address_in_a_block_of_another_size_than_its_pools_is_released(
    datastore: Datastore, allocator: Allocator
) -> None:
    given = (await allocator.auto_assign(AssignRequest(node="n1", num4=1, handle="h"))).v4
    pool = await datastore.get("/calico/resources/v3/projectcalico.org/ippools/pool")
    assert pool is not None
    await datastore.put(pool.key, pool.value.replace(b'"blockSize":30', b'"blockSize":29'))
    assert (await allocator.release([ReleaseRequest(given[0])])).released == given


async def test_no_block_is_made_over_one_of_another_size(datastore: Datastore, allocator: Allocator) -> None:
    given = (await allocator.auto_assign(AssignRequest(node="n1", num4=1, handle="h"))).v4[0]
    pool = await datastore.get("/calico/resources/v3/projectcalico.org/ippools/pool")
    assert pool is not None
    await datastore.put(pool.key, pool.value.replace(b'"blockSize":30', b'"blockSize":29'))
    beside = Cidr.host("10.0.0.1" if given.address > Cidr.host("10.0.0.3").address else "10.0.0.5")
    with pytest.raises(OverlappingBlock, match=r"would overlap 10\.0\.0"):
        await allocator.assign_address(beside, "n1", "h2", {})
    other = next(one for one in (1, 2) if (given.address & ~3) + one != given.address)
    await allocator.assign_address(Cidr(4, (given.address & ~3) + other, 32), "n1", "h2", {})
    assert len(await allocator.addresses_of("h2")) == 1
