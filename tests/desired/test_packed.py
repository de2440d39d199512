"""Packed records behave as sets of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.desired.packed import WIDTHS, apply_change, difference, distinct, pack, union, unpack
from tortie.desired.sets import Members


def records(width: int) -> st.SearchStrategy[set[bytes]]:
    # Few different bytes, so that records meet, zero and the highest byte among them.
    return st.sets(st.lists(st.sampled_from([0, 1, 127, 128, 255]), min_size=width, max_size=width).map(bytes))


PAIRS = st.sampled_from(sorted(set(WIDTHS.values()))).flatmap(
    lambda width: st.tuples(st.just(width), records(width), records(width))
)


@given(PAIRS)
def test_union_and_difference_are_those_of_sets(pair: tuple[int, set[bytes], set[bytes]]) -> None:
    width, left, right = pair
    packed = pack(list(left), width), pack(list(right), width)
    assert unpack(union(*packed, width), width) == sorted(left | right)
    assert unpack(difference(*packed, width), width) == sorted(left - right)


@given(PAIRS)
def test_distinct_records_are_sorted_and_stand_once(pair: tuple[int, set[bytes], set[bytes]]) -> None:
    width, left, right = pair
    assert unpack(distinct(b"".join([*left, *right]), width), width) == sorted(left | right)


def test_packing_sorts_and_removes_duplicates_and_refuses_other_widths() -> None:
    assert pack([b"b2", b"a1", b"b2"], 2) == b"a1b2"
    with pytest.raises(ValueError, match="2 bytes"):
        pack([b"abc"], 2)


def test_a_change_adds_and_removes_in_every_field() -> None:
    before = Members(hosts4=b"aaaabbbb", nets4=(Cidr.parse("10.0.0.0/8"),), ports4=b"1234567")
    after = apply_change(
        before,
        added=Members(hosts4=b"cccc", nets6=(Cidr.parse("fd00::/8"),)),
        removed=Members(hosts4=b"aaaa", nets4=(Cidr.parse("10.0.0.0/8"),), ports4=b"1234567"),
    )
    assert after == Members(hosts4=b"bbbbcccc", nets6=(Cidr.parse("fd00::/8"),))
