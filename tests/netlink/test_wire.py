"""Messages and attributes: what is packed is parsed back, and no bytes raise anything but TruncatedMessage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.netlink import wire


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=300))))
def test_attributes_are_parsed_as_they_were_packed(pairs: list[tuple[int, bytes]]) -> None:
    packed = b"".join(wire.attribute(kind, data) for kind, data in pairs)
    assert list(wire.attribute_list(packed)) == pairs


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=300))))
def test_messages_are_split_as_they_were_joined(parts: list[tuple[int, int, bytes]]) -> None:
    joined = b"".join(wire.message(kind, flags, number, data) for number, (kind, flags, data) in enumerate(parts))
    expected = [wire.Message(kind, flags, number, data) for number, (kind, flags, data) in enumerate(parts)]
    assert list(wire.messages(joined)) == expected


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_parsed_or_truncated(data: bytes) -> None:
    for parse in (wire.messages, wire.attribute_list):
        with contextlib.suppress(wire.TruncatedMessage):
            list(parse(data))
    for read in (wire.as_u32, wire.as_address):
        with contextlib.suppress(wire.TruncatedMessage):
            read(data)
    wire.as_text(data)


def test_a_message_cut_short_is_truncated() -> None:
    whole = wire.message(16, 0, 1, b"x" * 32)
    for size in range(1, len(whole)):
        with pytest.raises(wire.TruncatedMessage):
            list(wire.messages(whole[:size]))


def test_integers_stand_in_the_order_that_their_name_says() -> None:
    assert wire.be16(1, 0x0102)[4:6] == b"\x01\x02"
    assert wire.be32(1, 0x01020304)[4:] == b"\x01\x02\x03\x04"
    assert wire.as_u32(wire.u32(1, 7)[4:]) == 7


def test_addresses_of_both_families_are_read() -> None:
    for text in ("192.0.2.1", "2001:db8::1"):
        assert wire.as_address(Cidr.host(text).packed) == Cidr.host(text)
