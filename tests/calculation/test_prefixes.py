"""Prefixes find those around and inside one as a look at every one would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.calculation.prefixes import Prefixes

PREFIXES = st.builds(
    lambda family, address, length: Cidr.parse(
        f"10.0.0.{address}/{24 + length}" if family == 4 else f"fd00::{address:x}/{120 + length}"
    ),
    st.sampled_from([4, 6]),
    st.integers(0, 255),
    st.integers(0, 8),
)


@given(st.lists(st.tuples(st.booleans(), PREFIXES, PREFIXES), max_size=200))
def test_whatever_comes_and_goes_the_same_is_found_as_by_looking_at_all(
    steps: list[tuple[bool, Cidr, Cidr]],
) -> None:
    prefixes, members = Prefixes(), set[Cidr]()
    for here, prefix, question in steps:
        if here:
            prefixes.add(prefix)
            members.add(prefix)
        else:
            prefixes.discard(prefix)
            members.discard(prefix)
        around = sorted((one for one in members if one.contains(question)), key=lambda one: one.length)
        assert list(prefixes.around(question)) == around
        inside = list(prefixes.inside(question))
        assert sorted(inside) == sorted(one for one in members if question.contains(one))
        assert bool(prefixes) == bool(members)


def test_what_went_and_came_back_is_found_once() -> None:
    prefixes, wide = Prefixes(), Cidr.parse("10.0.0.0/8")
    members = [Cidr.parse(f"10.0.0.{number}/32") for number in range(4)]
    for one in members:
        prefixes.add(one)
    assert list(prefixes.inside(wide)) == members
    prefixes.discard(members[0])
    prefixes.add(members[0])
    assert list(prefixes.inside(wide)) == members
