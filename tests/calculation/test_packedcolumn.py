"""Packed addresses by item."""

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from tortie.calculation.packedcolumn import PackedColumn

ADDRESSES = st.lists(st.binary(min_size=4, max_size=4), max_size=3).map(b"".join)


@given(st.lists(st.tuples(st.integers(0, 9), ADDRESSES)), st.sets(st.integers(0, 12)))
def test_every_item_has_what_it_was_last_given(steps: list[tuple[int, bytes]], asked: set[int]) -> None:
    column, model = PackedColumn(4), dict.fromkeys(range(13), b"")
    for item, packed in steps:
        column[item] = packed
        model[item] = packed
    assert {item: column[item] for item in model} == model
    gathered = column.gather(BitMap(asked))
    wanted = b"".join(model[item] for item in asked)
    assert _records(gathered) == _records(wanted)


def _records(packed: bytes) -> list[bytes]:
    return sorted(packed[start : start + 4] for start in range(0, len(packed), 4))
