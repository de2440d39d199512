"""Several values by key."""

from hypothesis import given
from hypothesis import strategies as st

from tortie.calculation.multimap import Multimap

STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()))


@given(STEPS)
def test_it_holds_what_a_set_per_key_would(steps: list[tuple[int, int, bool]]) -> None:
    held: Multimap[int, int] = Multimap()
    model: dict[int, set[int]] = {}
    for key, value, adds in steps:
        if adds:
            held.add(key, value)
            model.setdefault(key, set()).add(value)
        elif value in model.get(key, ()):
            held.discard(key, value)
            model[key].remove(value)
            if not model[key]:
                del model[key]
    assert {key: set(held.of(key)) for key in held} == model
    assert [key in held for key in range(5)] == [key in model for key in range(5)]
    assert len(held) == len(model)
