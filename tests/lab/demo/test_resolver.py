"""Questions to the resolver, and what is understood of its answers."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tortie.lab.demo.resolver import answer, question


def response(number: int, address: bytes, kind: int) -> bytes:
    asked = question("db-1.shop", 4, number)[12:]
    record = b"\xc0\x0c" + struct.pack(">2HIH", kind, 1, 0, len(address)) + address
    return struct.pack(">6H", number, 0x8180, 1, 1, 0, 0) + asked + record


def test_a_question_holds_the_name_label_by_label() -> None:
    assert b"\x04db-1\x04shop\x00\x00\x1c\x00\x01" in question("db-1.shop", 6, 7)


def test_an_answer_tells_the_address() -> None:
    assert answer(response(7, bytes([10, 65, 0, 9]), 1), 7) == "10.65.0.9"
    assert answer(response(7, bytes(15) + b"\x01", 28), 7) == "::1"


def test_an_answer_to_another_question_tells_nothing() -> None:
    assert answer(response(8, bytes([10, 65, 0, 9]), 1), 7) == ""


@given(st.binary(), st.integers(0, 65535))
def test_any_bytes_are_taken(data: bytes, number: int) -> None:
    assert isinstance(answer(data, number), str)
