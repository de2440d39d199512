"""Addresses in words: as prefixes, or as everything but some; what others hold may count either way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.analysis.naming import addresses_text
from tortie.base.addresses import Cidr

LAST = (1 << 32) - 1


def spans(*nets: str) -> list[tuple[int, int]]:
    return [(one.address, one.last) for one in map(Cidr.parse, nets)]


@pytest.mark.parametrize(
    ("inside", "held", "text"),
    [
        ([(0, LAST)], [], "anywhere in IPv4"),
        (spans("10.0.0.0/8"), [], "10.0.0.0/8"),
        (spans("10.0.0.0/24", "10.2.0.0/24"), [], "10.0.0.0/24, 10.2.0.0/24"),
        ([(0, (10 << 24) - 1), (11 << 24, LAST)], [], "anywhere in IPv4 but 10.0.0.0/8"),
        # Between and around the addresses of endpoints.
        ([(0, 4), (6, LAST)], [(5, 5)], "anywhere in IPv4"),
        ([(1, LAST)], [(0, 0)], "anywhere in IPv4"),
        ([(16, 17), (19, 31)], [(18, 18)], "0.0.0.16/28"),
        ([(16, 17)], [(18, 18)], "0.0.0.16/31"),
        ([(one, one) for one in range(0, 12, 2)], [], "0.0.0.0/32, 0.0.0.2/32, 0.0.0.4/32, 0.0.0.6/32 and 2 more"),
    ],
)
def test_ranges_are_told_as_prefixes(inside: list[tuple[int, int]], held: list[tuple[int, int]], text: str) -> None:
    assert addresses_text(4, inside, held) == text


@given(st.lists(st.sampled_from("io h"), min_size=1, max_size=8))
def test_nothing_is_told_that_is_not_so(states: list[str]) -> None:
    """The last addresses of IPv6 are in, out, or held; every address that is not held is told rightly."""
    top = (1 << 128) - len(states)
    inside = [(top + place, top + place) for place, state in enumerate(states) if state == "i"]
    held = [(top + place, top + place) for place, state in enumerate(states) if state == "h"]
    if not inside or len(inside) > 4:
        return
    text = addresses_text(6, inside, held)
    negated, _, listed = text.partition(" but ") if "anywhere" in text else ("", "", text)
    nets = [Cidr.parse(one) for one in listed.split(", ")] if listed else []
    for place, state in enumerate(states):
        among = any(net.address <= top + place <= net.last for net in nets)
        if state != "h":
            assert (among != bool(negated)) == (state == "i")
