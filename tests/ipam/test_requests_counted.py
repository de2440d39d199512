"""What taking and giving back addresses costs in requests to the datastore, counted."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.datastore.contract import Datastore
from tortie.ipam.requests import AssignRequest, ReleaseRequest


class Counting:
    """A connection that notes every call."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._datastore, name)

        def counted(*arguments: Any) -> Any:
            self.calls.append(name)
            return call(*arguments)

        return counted

    def taken(self) -> list[str]:
        """The calls since the last time."""
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def counting(small: Any) -> Counting:
    return Counting(small.datastore)


@pytest.fixture
async def warm(small: Any, counting: Counting) -> Any:
    """An allocator whose node has a block of each family already."""
    await small.pool("v6", "fd00::/120", blockSize=122)
    allocator = small.another(counting)
    await allocator.auto_assign(AssignRequest(node="a", num4=1, num6=1, handle="first", all_or_nothing=True))
    counting.taken()
    return allocator


async def test_an_address_of_an_own_block_costs_one_read_and_one_write_handle_included(
    warm: Any, counting: Counting
) -> None:
    given = await warm.auto_assign(
        AssignRequest(node="a", num4=1, handle="net.c1", max_per_handle=1, all_or_nothing=True)
    )
    assert counting.taken() == ["read", "write_together"]
    assert await warm.addresses_of("net.c1") == given.v4


async def test_both_families_cost_one_read_and_a_write_each(warm: Any, counting: Counting) -> None:
    request = AssignRequest(node="a", num4=1, num6=1, handle="net.c1", max_per_handle=1, all_or_nothing=True)
    given = await warm.auto_assign(request)
    assert counting.taken() == ["read", "write_together", "write_together"]
    assert await warm.addresses_of("net.c1") == (*given.v4, *given.v6)


async def test_a_block_that_is_full_costs_no_request_of_its_own(small: Any, warm: Any, counting: Counting) -> None:
    await warm.auto_assign(AssignRequest(node="a", num4=4, handle="filling"))
    counting.taken()
    await warm.auto_assign(AssignRequest(node="a", num4=1, handle="net.c1", all_or_nothing=True))
    assert counting.taken() == ["read", "write_together"]


async def test_giving_back_a_handle_costs_two_reads_and_one_write(warm: Any, counting: Counting) -> None:
    given = await warm.auto_assign(AssignRequest(node="a", num4=2, handle="net.c1"))
    counting.taken()
    assert await warm.release_by_handle("net.c1") == given.v4
    assert counting.taken() == ["read", "get", "write_together"]


async def test_giving_back_an_address_costs_no_more_than_four_requests(warm: Any, counting: Counting) -> None:
    (address,) = (await warm.auto_assign(AssignRequest(node="a", num4=1, handle="net.c1"))).v4
    counting.taken()
    assert (await warm.release([ReleaseRequest(address, "net.c1")])).released == (address,)
    calls = counting.taken()
    assert (calls.count("write_together"), len(calls)) == (1, 5)


async def test_an_allocation_that_others_were_faster_than_looks_again_and_succeeds(
    small: Any, warm: Any, counting: Counting
) -> None:
    class Interfered(Counting):
        async def read(self, keys: Any, prefixes: Any = ()) -> Any:
            found = await self._datastore.read(keys, prefixes)
            await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="faster"))
            return found

    allocator = small.another(Interfered(small.datastore))
    (address,) = (await allocator.auto_assign(AssignRequest(node="a", num4=1, handle="slower"))).v4
    assert await small.allocator.addresses_of("slower") == (address,)
    assert address not in await small.allocator.addresses_of("faster")
