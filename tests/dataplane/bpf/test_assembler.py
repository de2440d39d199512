"""Instructions as RFC 9669 writes them."""

from __future__ import annotations

import sys

import pytest

from tortie.dataplane.bpf.assembler import (
    R0,
    R1,
    R6,
    STACK,
    Arithmetic,
    Helper,
    Jump,
    Label,
    Size,
    assemble,
    calculate,
    call,
    copy,
    jump,
    leave,
    load,
    load_map,
    move,
    store,
    store_bytes,
)

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="written out as little-endian machines have them")


def test_each_kind_of_instruction_is_eight_bytes_as_the_standard_has_them() -> None:
    expected = {
        "b700000007000000": move(R0, 7),
        "bf16000000000000": copy(R6, R1),
        "0700000014000000": calculate(Arithmetic.ADD, R0, number=20),
        "7700000010000000": calculate(Arithmetic.RIGHT, R0, number=16),
        "61124c0000000000": load(Size.WORD, 2, R1, 76),
        "7114090000000000": load(Size.BYTE, 4, R1, 9),
        "6b0af6ff00000000": store(Size.HALF, STACK, -10, R0),
        "8500000033000000".replace("33", "32"): call(Helper.ADJUST_ROOM),
        "9500000000000000": leave(),
    }
    assert {text: assemble([one]).hex() for text, one in expected.items()} == {text: text for text in expected}


def test_bytes_are_stored_in_their_order() -> None:
    assert assemble(store_bytes(STACK, -4, b"\1\2\3\4")).hex() == "6a0afcff010200006a0afeff03040000"


def test_jumps_go_to_their_labels_forth_and_over_double_instructions() -> None:
    lines = [jump("end", Jump.EQUAL, R0, number=4), *load_map(R1, 9), jump("end"), move(R0, 1), Label("end"), leave()]
    code = assemble(lines)
    assert len(code) == 6 * 8
    assert code[:8].hex() == "1500040004000000"
    assert code[8:24].hex() == "18110000090000000000000000000000"
    assert code[24:32].hex() == "0500010000000000"


def test_a_jump_to_nowhere_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        assemble([jump("nowhere")])
