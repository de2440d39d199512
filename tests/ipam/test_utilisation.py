"""Shares of pools, nodes and namespaces."""

from __future__ import annotations

from typing import Any

from tortie.base.addresses import Cidr
from tortie.ipam.audit import holders
from tortie.ipam.pools import Pool
from tortie.ipam.ranges import Ranges
from tortie.ipam.requests import AssignRequest
from tortie.ipam.utilisation import NamespaceShare, NodeShare, namespace_shares, node_shares, pool_shares

ALL = [f"10.0.0.{number}" for number in range(4, 16)]


async def test_a_borrowed_address_counts_for_who_uses_it_and_as_lent_by_the_owner(small: Any) -> None:
    for node, count, namespace in (("a", 4, "shop"), ("b", 5, "bank")):
        attributes = {"node": node, "namespace": namespace}
        await small.allocator.auto_assign(AssignRequest(node=node, num4=count, handle=node, attributes=attributes))
    free = min(set(map(Cidr.host, ALL)) - set(map(Cidr.host, holders(await small.snapshot()))))
    await small.allocator.assign_address(free, "c", "c", {})
    snapshot = await small.snapshot()
    shares = {share.node: share for share in node_shares(snapshot)}
    lender = next(cidr for cidr in snapshot.blocks if cidr.contains(free))
    owner = str(snapshot.blocks[lender].affinity).removeprefix("host:")
    assert shares["c"].in_use == 1
    assert sum(share.in_use for share in shares.values()) == 10
    assert (shares["c"].borrowed, shares[owner].lent) == ((0, 0) if owner == "c" else (1, 1))
    assert shares["a"] == NodeShare("a", 4, 1, 4, 4, 0, 0, 0)
    assert namespace_shares(snapshot) == (
        NamespaceShare("-", 4, 1),
        NamespaceShare("bank", 4, 5),
        NamespaceShare("shop", 4, 4),
    )
    (pool,) = pool_shares(snapshot, [Pool("small", Cidr.parse("10.0.0.0/28"), 30)], {4: Ranges()})
    assert (pool.blocks, pool.usage.in_use) == (len(snapshot.blocks), 10)
