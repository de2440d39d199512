"""What a check finds beyond the records themselves."""

from __future__ import annotations

from typing import Any

from tortie.base.addresses import Cidr
from tortie.ipam.audit import Finding
from tortie.ipam.inspection import inspect
from tortie.ipam.pools import Pool
from tortie.ipam.requests import AssignRequest


async def test_a_block_without_owner_is_found_with_how_many_hold_on_to_it(small: Any) -> None:
    (address,) = (await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="h"))).v4
    (block,) = await small.allocator.release_affinity(Cidr.parse("10.0.0.0/28"), "a")
    pools = [Pool("small", Cidr.parse("10.0.0.0/28"), 30)]
    findings = inspect(await small.snapshot(), {address.text: ["somebody"]}, pools)
    assert findings == (Finding("block-without-owner", str(block), "1 of its addresses are held"),)


async def test_pools_that_overlap_are_found(small: Any) -> None:
    pools = [Pool("a", Cidr.parse("10.0.0.0/24"), 26), Pool("b", Cidr.parse("10.0.0.128/25"), 28)]
    pools.append(Pool("c", Cidr.parse("10.0.1.0/24"), 26))
    (finding,) = inspect(await small.snapshot(), {}, pools)
    assert finding == Finding("overlapping-pools", "b", "10.0.0.128/25 overlaps 10.0.0.0/24 of pool a")
