"""IP sets as kernel sets: names, merged prefixes, changes taken together, sizes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.sets import KINDS, folded, merged, set_name, suitable_size
from tortie.desired.packed import difference, pack, union
from tortie.desired.sets import Members, SetChange

net = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: Cidr(4, pair[0] >> (32 - pair[1]) << (32 - pair[1]), pair[1])
)
members = st.lists(st.integers(0, 5).map(lambda one: one.to_bytes(4, "big"))).map(lambda found: pack(found, 4))


@given(st.lists(net, max_size=8), st.integers(0, 2**32 - 1))
def test_merged_intervals_hold_what_the_prefixes_hold_and_do_not_touch(nets: list[Cidr], probe: int) -> None:
    found = merged(nets)
    keys = [int.from_bytes(found[at : at + 4], "big") for at in range(0, len(found), 4)]
    pairs = [(first, behind or 2**32) for first, behind in zip(keys[::2], keys[1::2], strict=True)]
    for address in (probe, *(one.address for one in nets), *(one.last for one in nets)):
        inside = any(first <= address < behind for first, behind in pairs)
        assert inside == any(one.contains(Cidr(4, address, 32)) for one in nets)
    assert all(left[1] < right[0] for left, right in pairwise(pairs))


@given(members, st.lists(members, max_size=4))
def test_changes_taken_together_are_the_difference_of_the_ends(start: bytes, steps: list[bytes]) -> None:
    changes, before = [], start
    for after in steps:
        added, removed = Members(hosts4=difference(after, before, 4)), Members(hosts4=difference(before, after, 4))
        changes.append(SetChange("s", added, removed))
        before = after
    plus, minus = folded(changes, KINDS["hosts4"])
    assert not difference(minus, start, 4)
    assert union(difference(start, minus, 4), plus, 4) == before


@given(st.binary(min_size=7, max_size=70).filter(lambda one: len(one) % 7 == 0))
def test_ports_survive_the_form_that_the_kernel_has(packed: bytes) -> None:
    kind = KINDS["ports4"]
    keys = b"".join(one[at + 12 : at + 24] for one in kind.elements(packed) for at in range(0, len(one), 24))
    assert kind.records(keys) == packed


def test_names_differ_and_fit() -> None:
    ids = ("s:a", "s-a", "s:" + "x" * 300, "s:" + "x" * 301, "s:ä")
    names = {set_name("hosts4", one) for one in ids}
    assert len(names) == len(ids)
    assert all(len(one) < 256 and one.isascii() and ":" not in one for one in names)


def test_sizes_grow_by_doubling_and_small_sets_have_none() -> None:
    assert [suitable_size(10, 0), suitable_size(5000, 0), suitable_size(16_384, 16_384)] == [0, 16_384, 16_384]
    assert suitable_size(16_385, 16_384) == 65_536
