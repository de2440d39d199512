"""Which pools serve a request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api.ippool import IPPool
from tortie.base.addresses import Cidr
from tortie.ipam.errors import NoPool, PoolNotUsable, UseNotAllowed
from tortie.ipam.pools import Pool, PoolRequest, choose, pool_of


def pool(name: str, cidr: str = "10.0.0.0/24", **spec: Any) -> Pool:
    return Pool.of(msgspec.convert({"metadata": {"name": name}, "spec": {"cidr": cidr, **spec}}, IPPool))


def names(pools: list[Pool], **request: Any) -> list[str]:
    return [
        pool.name for pool in choose(pools, PoolRequest(**{"family": 4, "use": "Workload", "node": "n", **request}))
    ]


def test_defaults_are_filled_in() -> None:
    assert pool("p").block_length == 26
    assert pool("p", "fd00::/64").block_length == 122
    assert pool("p").uses == ("Workload", "Tunnel")


def test_a_manual_pool_serves_only_those_who_name_it() -> None:
    pools = [pool("auto"), pool("manual", "10.1.0.0/24", assignmentMode="Manual")]
    assert names(pools) == ["auto"]
    assert names(pools, requested=("manual",)) == ["manual"]


def test_those_who_name_a_pool_are_not_asked_about_selectors() -> None:
    pools = [pool("p", nodeSelector="rack == 'x'", namespaceSelector="team == 'y'")]
    assert names(pools, requested=("10.0.0.0/24",)) == ["p"]
    with pytest.raises(NoPool, match="node n"):
        names(pools)


def test_pools_are_used_in_the_order_in_which_they_are_named() -> None:
    assert names([pool("a"), pool("b", "10.1.0.0/24")], requested=("b", "a")) == ["b", "a"]


@pytest.mark.parametrize(
    "resource",
    [
        {"metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/24", "disabled": True}},
        {"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"cidr": "10.0.0.0/24"}},
        {
            "metadata": {"name": "p"},
            "spec": {"cidr": "10.0.0.0/24"},
            "status": {"conditions": [{"type": "Allocatable", "status": "False", "reason": "CIDROverlap"}]},
        },
    ],
    ids=["disabled", "being deleted", "refused by its controller"],
)
def test_a_pool_that_is_out_of_service_serves_nobody(resource: dict[str, Any]) -> None:
    pools = [Pool.of(msgspec.convert(resource, IPPool))]
    with pytest.raises(NoPool):
        names(pools)
    with pytest.raises(PoolNotUsable, match="not enabled"):
        names(pools, requested=("p",))


def test_a_use_that_no_pool_allows_names_the_pools_that_qualify_otherwise() -> None:
    with pytest.raises(UseNotAllowed, match=r"LoadBalancer.*: p qualify"):
        names([pool("p")], use="LoadBalancer")


def test_an_address_belongs_to_the_most_specific_pool() -> None:
    pools = [pool("wide", "10.0.0.0/8"), pool("narrow")]
    found = pool_of(pools, Cidr.host("10.0.0.7"))
    assert found is not None
    assert found.name == "narrow"
    assert found.block_of(Cidr.host("10.0.0.77")) == Cidr.parse("10.0.0.64/26")
