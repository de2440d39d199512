"""Assigning and releasing through the front."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.ipam import IPAMConfig
from tortie.base.addresses import Cidr
from tortie.base.errors import Unavailable
from tortie.datastore.keys import IPAM_CONFIG_KEY, block_key, handle_key
from tortie.ipam.audit import audit, holders
from tortie.ipam.errors import (
    AlreadyAssigned,
    BlockLimitReached,
    InvalidRequest,
    NoPool,
    NotEnoughAddresses,
    PoolNotUsable,
    ReleaseConflict,
    StrictAffinity,
    UnknownNode,
    UseNotAllowed,
)
from tortie.ipam.requests import LOAD_BALANCER, AssignRequest, ReleaseRequest

STRICT = IPAMConfig(strict_affinity=True, auto_allocate_blocks=True)


async def test_an_unknown_node_gets_no_address(small: Any) -> None:
    with pytest.raises(UnknownNode, match="node c"):
        await small.allocator.auto_assign(AssignRequest(node="c", num4=1))


async def test_the_limit_of_blocks_is_an_error_and_nothing_is_borrowed_or_kept(small: Any) -> None:
    await small.allocator.claim_affinity(Cidr.parse("10.0.0.0/30"), "b")
    with pytest.raises(BlockLimitReached, match="node a: owns 2 blocks"):
        await small.allocator.auto_assign(AssignRequest(node="a", num4=9, handle="h", max_blocks=2))
    assert not holders(await small.snapshot())
    assert not audit(await small.snapshot())


async def test_without_strict_affinity_the_last_addresses_are_borrowed(small: Any) -> None:
    await small.allocator.claim_affinity(Cidr.parse("10.0.0.0/28"), "b")
    given = await small.allocator.auto_assign(AssignRequest(node="a", num4=17, handle="h"))
    assert len(given.v4) == 16
    assert "no addresses left in pools small 10.0.0.0/28" in given.messages[0]


async def test_with_strict_affinity_nothing_is_borrowed_nor_given_by_name(small: Any) -> None:
    await small.allocator.set_config(STRICT)
    await small.allocator.claim_affinity(Cidr.parse("10.0.0.0/28"), "b")
    given = await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="h"))
    assert given.v4 == ()
    with pytest.raises(StrictAffinity, match="host:b"):
        await small.allocator.assign_address(Cidr.host("10.0.0.1"), "a", "h", {})


async def test_all_or_nothing_releases_the_family_that_had_enough(small: Any) -> None:
    await small.pool("six", "fd00::/126", blockSize=126)
    request = AssignRequest(node="a", num4=1, num6=5, handle="h", all_or_nothing=True)
    with pytest.raises(NotEnoughAddresses, match="4 of 5 IPv6"):
        await small.allocator.auto_assign(request)
    snapshot = await small.snapshot()
    assert not holders(snapshot)
    assert not snapshot.handles


async def test_a_missing_pool_of_one_family_releases_the_other(small: Any) -> None:
    with pytest.raises(NoPool, match="no IPv6 pool for node a"):
        await small.allocator.auto_assign(AssignRequest(node="a", num4=1, num6=1, handle="h"))
    assert not holders(await small.snapshot())


async def test_a_datastore_that_goes_away_is_reported_as_such(small: Any) -> None:
    class Away:
        async def read(self, keys: Any, prefixes: Any) -> None:
            raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        await small.another(Away()).auto_assign(AssignRequest(node="a", num4=1))


async def test_the_huge_pools_of_ipv6_give_both_nodes_their_own_block(small: Any) -> None:
    await small.pool("six", "fd00::/32")
    given = [await small.allocator.auto_assign(AssignRequest(node=node, num6=100, handle=node)) for node in "ab"]
    assert len({*given[0].v6, *given[1].v6}) == 200
    assert not audit(await small.snapshot())


async def test_the_namespace_selector_of_a_pool_is_asked_about_the_namespace(small: Any) -> None:
    await small.pool("small", "10.0.0.0/28", blockSize=30, namespaceSelector="team == 'web'")
    with pytest.raises(NoPool):
        await small.allocator.auto_assign(AssignRequest(node="a", num4=1))
    given = await small.allocator.auto_assign(AssignRequest(node="a", num4=1, namespace_labels={"team": "web"}))
    assert len(given.v4) == 1


async def test_an_address_that_is_held_names_its_holder(small: Any) -> None:
    address = Cidr.host("10.0.0.9")
    await small.allocator.assign_address(address, "a", "net.x", {"namespace": "shop", "pod": "web-0"})
    with pytest.raises(AlreadyAssigned, match=r"handle net\.x shop/web-0"):
        await small.allocator.assign_address(address, "b", "net.y", {})


async def test_a_cooling_address_is_in_use_until_its_time_is_over(small: Any) -> None:
    await small.allocator.set_config(IPAMConfig(auto_allocate_blocks=True, ip_cooldown_seconds=30))
    address = Cidr.host("10.0.0.9")
    await small.allocator.assign_address(address, "a", "h", {})
    assert await small.allocator.release_by_handle("h") == (address,)
    with pytest.raises(AlreadyAssigned, match="cooling down"):
        await small.allocator.assign_address(address, "a", "h", {})
    small.clock.time += 30
    await small.allocator.assign_address(address, "a", "h", {})


@pytest.mark.parametrize(("spec", "error"), [({"disabled": True}, PoolNotUsable), ({"cidr": "10.9.0.0/28"}, NoPool)])
async def test_an_address_of_no_enabled_pool_is_refused(small: Any, spec: dict[str, Any], error: type[NoPool]) -> None:
    await small.pool("small", **{"cidr": "10.0.0.0/28", **spec})
    with pytest.raises(error, match=r"10\.0\.0\.9"):
        await small.allocator.assign_address(Cidr.host("10.0.0.9"), "a", "h", {})


async def test_an_address_that_a_workload_asks_for_is_of_a_pool_for_workloads(small: Any) -> None:
    """Neither selectors of the pool nor that it is to be named matter to one who names the address."""
    address = Cidr.host("10.0.0.9")
    await small.pool("small", "10.0.0.0/28", allowedUses=["LoadBalancer"])
    with pytest.raises(UseNotAllowed):
        await small.allocator.assign_address(address, "a", "h", {}, "Workload")
    await small.pool("small", "10.0.0.0/28", assignmentMode="Manual", nodeSelector="has(nothing)")
    await small.allocator.assign_address(address, "a", "h", {}, "Workload")


async def test_a_release_by_another_handle_is_refused_and_releases_nothing_of_the_block(small: Any) -> None:
    given = (await small.allocator.auto_assign(AssignRequest(node="a", num4=2, handle="mine"))).v4
    with pytest.raises(ReleaseConflict, match="held by handle mine"):
        await small.allocator.release([ReleaseRequest(given[0]), ReleaseRequest(given[1], "yours")])
    assert len(holders(await small.snapshot())) == 2


async def test_what_is_free_already_is_told_apart_from_what_was_released(small: Any) -> None:
    (held,) = (await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="h"))).v4
    unknown = Cidr.host("192.0.2.1")
    result = await small.allocator.release([ReleaseRequest(held), ReleaseRequest(held), ReleaseRequest(unknown)])
    assert set(result.released) == {held}
    assert result.unallocated == (unknown,)
    assert not (await small.snapshot()).handles


async def test_an_address_outlives_its_pool_and_can_still_be_released(small: Any) -> None:
    (held,) = (await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="h"))).v4
    await small.pool("small", "10.9.0.0/28")
    assert (await small.allocator.release([ReleaseRequest(held)])).released == (held,)


async def test_an_unknown_handle_holds_nothing(small: Any) -> None:
    assert await small.allocator.release_by_handle("nobody") == ()
    assert await small.allocator.addresses_of("nobody") == ()


async def test_a_handle_that_counts_too_many_is_repaired_by_its_release(small: Any) -> None:
    await small.datastore.put(handle_key("h"), b'{"block":{"10.0.0.0/30":3,"10.0.0.4/30":1},"deleted":false}')
    await small.allocator.assign_address(Cidr.host("10.0.0.1"), "a", "h", {})
    assert {finding.kind for finding in audit(await small.snapshot())} == {"handle-counts-too-many"}
    assert await small.allocator.release_by_handle("h") == (Cidr.host("10.0.0.1"),)
    assert not audit(await small.snapshot())


async def test_a_service_address_comes_from_a_block_of_the_load_balancer_that_goes_with_it(small: Any) -> None:
    await small.pool("lb", "203.0.113.0/28", blockSize=30, allowedUses=["LoadBalancer"])
    request = AssignRequest(node="", num4=1, handle="lb-1", use="LoadBalancer")
    (address,) = (await small.allocator.auto_assign(request)).v4
    assert {owner for owner, _ in (await small.snapshot()).claims} == {LOAD_BALANCER}
    assert Cidr.parse("203.0.113.0/28").contains(address)
    await small.allocator.release_by_handle("lb-1")
    snapshot = await small.snapshot()
    assert not snapshot.blocks
    assert not snapshot.claims


async def test_one_broken_block_does_not_keep_others_from_their_addresses(small: Any) -> None:
    await small.datastore.put(block_key("10.0.0.0/30"), b"{broken")
    given = await small.allocator.auto_assign(AssignRequest(node="a", num4=12, handle="h"))
    assert len(given.v4) == 12
    assert not any(Cidr.parse("10.0.0.0/30").contains(address) for address in given.v4)


@pytest.mark.parametrize(
    "config",
    [IPAMConfig(), IPAMConfig(auto_allocate_blocks=True, max_blocks_per_host=3)],
    ids=["neither strict nor automatic", "a limit without strict affinity"],
)
async def test_settings_that_contradict_each_other_are_refused(small: Any, config: IPAMConfig) -> None:
    with pytest.raises(InvalidRequest):
        await small.allocator.set_config(config)


async def test_settings_that_do_not_change_are_not_written(small: Any) -> None:
    await small.allocator.set_config(STRICT)
    before = await small.datastore.get(IPAM_CONFIG_KEY)
    await small.allocator.set_config(STRICT)
    assert await small.datastore.get(IPAM_CONFIG_KEY) == before
    assert before.value == b'{"strict_affinity":true,"auto_allocate_blocks":true}'


async def test_an_unknown_use_is_refused(small: Any) -> None:
    with pytest.raises(InvalidRequest, match="'Pods'"):
        await small.allocator.auto_assign(AssignRequest(node="a", num4=1, use="Pods"))
