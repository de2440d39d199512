"""Fields on the wire, and bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.datastore.etcd import wire
from tortie.datastore.etcd.wire import MalformedMessage, fields, integer, message, signed, text, varint

INT64 = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.integers(1, 2**29 - 1)


@given(st.lists(st.tuples(NUMBERS, INT64 | st.binary(max_size=300))))
def test_what_is_written_is_read_again_in_its_order(given_fields: list[tuple[int, int | bytes]]) -> None:
    data = b"".join(integer(n, v) if isinstance(v, int) else text(n, v) for n, v in given_fields)
    read = [(n, signed(v) if end < 0 else data[v:end]) for n, v, end in fields(data, 0, len(data))]
    assert read == [field for field in given_fields if field[1]]


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_within_them_or_refused(data: bytes) -> None:
    try:
        found = fields(data, 0, len(data))
    except MalformedMessage:
        return
    assert all(begin <= end <= len(data) for _, begin, end in found if end >= 0)


@given(st.lists(st.tuples(NUMBERS, st.binary(min_size=1)), min_size=1), st.data())
def test_a_message_that_was_cut_inside_its_last_field_is_refused(
    parts: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    whole = b"".join(text(number, value) for number, value in parts)
    last = len(text(*parts[-1]))
    cut = data.draw(st.integers(1, last - 1))
    with pytest.raises(MalformedMessage):
        fields(whole[:-cut], 0, len(whole) - cut)


def test_fields_of_fixed_size_are_stepped_over() -> None:
    data = varint(1 << 3 | wire.FIXED64) + b"12345678" + varint(2 << 3 | wire.FIXED32) + b"1234" + integer(3, 7)
    assert fields(data, 0, len(data)) == [(3, 7, -1)]


@pytest.mark.parametrize("data", [b"\x0b", b"\x08" + b"\xff" * 10 + b"\x01", b"\x0a\x05abc", b"\x80"])
def test_unknown_types_endless_integers_and_stumps_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        fields(data, 0, len(data))


def test_defaults_are_left_out_but_nested_messages_are_told() -> None:
    assert integer(1, 0) == text(1, b"") == b""
    assert message(1, b"") == b"\x0a\x00"
