"""Claims on blocks, from every state that a writer may have left behind."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.codec import encode_value
from tortie.api.ipam import BlockAffinity
from tortie.base.addresses import Cidr
from tortie.datastore.keys import affinity_key, block_key
from tortie.ipam.audit import audit
from tortie.ipam.block import new_block, orphaned
from tortie.ipam.requests import AssignRequest

BLOCK = Cidr.parse("10.0.0.4/30")
STATES = (None, "", "pending", "confirmed", "pendingDeletion")


async def left_behind(cluster: Any, state: str | None, owner: str | None, host: str = "a") -> None:
    """A claim of a host in a state (None is absent), and a block of an owner (None is absent)."""
    if state is not None:
        await cluster.datastore.put(affinity_key(host, str(BLOCK)), encode_value(BlockAffinity(state=state)))
    if owner is not None:
        block = new_block(BLOCK, owner, cluster.clock.now())
        block = orphaned(block) if owner == "nobody" else block
        await cluster.datastore.put(block_key(str(BLOCK)), encode_value(block))


@pytest.mark.parametrize("owner", [None, "host:a"])
@pytest.mark.parametrize("state", STATES)
async def test_a_claim_is_completed_from_wherever_it_was_left(small: Any, state: str | None, owner: str | None) -> None:
    await left_behind(small, state, owner)
    claimed = await small.allocator.claim_affinity(BLOCK, "a")
    assert claimed.claimed == (BLOCK,)
    assert not audit(await small.snapshot())


@pytest.mark.parametrize("owner", ["host:b", "nobody"])
@pytest.mark.parametrize("state", STATES)
async def test_a_claim_on_the_block_of_another_is_dropped(small: Any, state: str | None, owner: str) -> None:
    await left_behind(small, state, owner)
    claimed = await small.allocator.claim_affinity(BLOCK, "a")
    assert claimed.failed == (BLOCK,)
    assert not (await small.snapshot()).claims


@pytest.mark.parametrize("state", STATES)
async def test_a_node_goes_on_with_a_claim_that_it_left_half_way(small: Any, state: str | None) -> None:
    await left_behind(small, state, None)
    given = await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="h"))
    assert len(given.v4) == 1
    assert state is None or BLOCK.contains(given.v4[0])
    assert not audit(await small.snapshot())


async def test_an_empty_block_is_deleted_with_its_claim(small: Any) -> None:
    await small.allocator.claim_affinity(BLOCK, "a")
    assert await small.allocator.release_affinity(BLOCK, "a") == (BLOCK,)
    snapshot = await small.snapshot()
    assert not snapshot.blocks
    assert not snapshot.claims


async def test_a_block_in_use_keeps_its_addresses_without_an_owner_until_the_last_is_released(small: Any) -> None:
    await small.allocator.assign_address(Cidr.host("10.0.0.5"), "a", "h", {})
    assert await small.allocator.release_affinity(BLOCK, "a", only_empty=True) == ()
    assert await small.allocator.release_affinity(BLOCK, "a") == (BLOCK,)
    snapshot = await small.snapshot()
    assert snapshot.blocks[BLOCK].affinity is None
    assert not snapshot.claims
    await small.allocator.release_by_handle("h")
    assert not (await small.snapshot()).blocks


async def test_an_empty_block_is_taken_from_its_owner_after_a_minute_and_not_before(small: Any) -> None:
    await small.allocator.claim_affinity(Cidr.parse("10.0.0.0/28"), "a")
    request = AssignRequest(node="b", num4=1, handle="h", attributes={"node": "b"})
    await small.allocator.auto_assign(request)
    assert {owner for owner, _ in (await small.snapshot()).claims} == {"host:a"}
    small.clock.time += 60
    await small.allocator.auto_assign(request)
    assert {owner for owner, _ in (await small.snapshot()).claims} == {"host:a", "host:b"}
    assert not audit(await small.snapshot())


async def test_ensuring_a_block_claims_one_and_then_finds_it_again(small: Any) -> None:
    request = AssignRequest(node="a", num4=1)
    first = await small.allocator.ensure_block(request)
    assert await small.allocator.ensure_block(request) == first
    assert len((await small.snapshot()).blocks) == 1
