"""Which block is claimed next."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.ipam.candidates import free_blocks, is_reserved
from tortie.ipam.pools import Pool
from tortie.ipam.ranges import Ranges, of_prefixes

POOL = Pool("p", Cidr.parse("10.0.0.0/24"), 28)
blocks = st.lists(st.tuples(st.integers(0, 255), st.sampled_from([26, 28, 30, 32])))


def cidr_of(offset: int, length: int) -> Cidr:
    return Cidr.parse(f"10.0.0.{offset}/{length}")


@given(taken=blocks, kept=blocks, owner=st.text(max_size=3))
def test_exactly_the_blocks_that_touch_nothing_taken_and_are_not_all_reserved(
    taken: list[tuple[int, int]], kept: list[tuple[int, int]], owner: str
) -> None:
    taken_cidrs = [cidr_of(*item) for item in taken]
    reserved = of_prefixes([cidr_of(*item) for item in kept], 4)
    expected = {
        block
        for block in (cidr_of(offset, 28) for offset in range(0, 256, 16))
        if not any(block.overlaps(other) for other in taken_cidrs) and not is_reserved(block, reserved)
    }
    found = list(free_blocks(POOL, owner, taken_cidrs, reserved))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_owners_start_at_different_places() -> None:
    starts = {next(free_blocks(POOL, f"host:n{number}", [], Ranges())) for number in range(50)}
    assert len(starts) > 8


def test_a_huge_pool_that_is_reserved_but_for_its_last_block_is_not_walked_through() -> None:
    pool = Pool("p", Cidr.parse("fd00::/16"), 122)
    last = Cidr(6, pool.cidr.last - 63, 122)
    reserved = Ranges([(pool.cidr.address, last.address - 1)])
    assert list(free_blocks(pool, "host:n", [], reserved)) == [last]


def test_a_huge_pool_gives_distinct_blocks_inside_it() -> None:
    pool = Pool("p", Cidr.parse("fd00::/16"), 122)
    found = list(islice(free_blocks(pool, "host:n", [], Ranges()), 1000))
    assert len(set(found)) == 1000
    assert all(pool.cidr.contains(block) for block in found)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9))), st.integers(0, 70), st.integers(0, 20))
def test_ranges_are_the_set_of_their_members(parts: list[tuple[int, int]], first: int, width: int) -> None:
    ranges = Ranges((start, start + more) for start, more in parts)
    members = {value for start, more in parts for value in range(start, start + more + 1)}
    assert {value for value in range(80) if value in ranges} == members
    assert ranges.count(first, first + width) == len(members & set(range(first, first + width + 1)))
    for value in members:
        assert ranges.end_of(value) == next(end for end in range(value, 80) if end + 1 not in members)
