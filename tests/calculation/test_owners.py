"""Who holds what."""

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from tortie.calculation.owners import Owners

STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.sets(st.integers(0, 5), max_size=4), st.sampled_from("+-=")))


@given(STEPS)
def test_they_are_what_a_set_per_thing_would_say(steps: list[tuple[str, set[int], str]]) -> None:
    owners: Owners[str] = Owners()
    model: dict[str, set[int]] = {}
    for thing, items, what in steps:
        here = model.setdefault(thing, set())
        if what == "+":
            owners.update(thing, sorted(items))
            here |= items
        elif what == "=":
            for item in items:
                owners.add(thing, item)
            here |= items
        elif gone := items & here:
            owners.difference_update(thing, BitMap(gone))
            here -= gone
    for thing, items in model.items():
        assert set(owners.of(thing)) == set(owners.bitmap(thing)) == items
        assert owners.count(thing) == len(items)
        assert (thing in owners) == bool(items)
