"""Instructions of eBPF (RFC 9669) as functions, and labels that jumps name. Pure."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from enum import IntEnum

import msgspec

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, STACK = range(11)
"""Registers: results, five arguments that calls destroy, four that they keep, and the end of the stack."""


class Size(IntEnum):
    """Of what is loaded or stored."""

    BYTE = 0x10
    HALF = 0x08
    WORD = 0x00
    DOUBLE = 0x18


class Jump(IntEnum):
    """When a jump is taken."""

    ALWAYS = 0x00
    EQUAL = 0x10
    GREATER = 0x20
    NOT_EQUAL = 0x50


class Helper(IntEnum):
    """Functions of the kernel (enum bpf_func_id of linux/bpf.h)."""

    MAP_LOOKUP = 1
    STORE_BYTES = 9
    REDIRECT = 23
    CSUM_DIFF = 28
    PULL_DATA = 39
    ADJUST_ROOM = 50
    REDIRECT_NEIGHBOUR = 152


class Arithmetic(IntEnum):
    """What is done with a register."""

    ADD = 0x00
    AND = 0x50
    LEFT = 0x60
    RIGHT = 0x70
    XOR = 0xA0
    MOVE = 0xB0


_WIDE, _REGISTER = 0x07, 0x08
_LOAD, _STORE, _STORE_NUMBER = 0x61, 0x63, 0x62
_MAP_DESCRIPTOR = 1
_INSTRUCTION = struct.Struct("=BBhi")


class Instruction(msgspec.Struct, frozen=True, gc=False):
    """One instruction, or the first half of a double one.

    Args:
        label: where a jump goes; its offset is found when the program is put together.
    """

    code: int
    target: int = 0
    source: int = 0
    offset: int = 0
    number: int = 0
    label: str = ""


class Label(msgspec.Struct, frozen=True, gc=False):
    """A place that jumps can name."""

    name: str


Line = Instruction | Label


def calculate(what: Arithmetic, register: int, *, number: int = 0, by: int | None = None) -> Instruction:
    """Change a register (64 bits) by a number, or by another register."""
    if by is None:
        return Instruction(_WIDE | what, register, number=number)
    return Instruction(_WIDE | _REGISTER | what, register, by)


def move(register: int, number: int) -> Instruction:
    """Put a number into a register."""
    return calculate(Arithmetic.MOVE, register, number=number)


def copy(register: int, source: int) -> Instruction:
    """Put the content of another register into one."""
    return calculate(Arithmetic.MOVE, register, by=source)


def load(size: Size, register: int, base: int, offset: int) -> Instruction:
    """Read memory at a register's content and an offset."""
    return Instruction(_LOAD | size, register, base, offset)


def store(size: Size, base: int, offset: int, register: int) -> Instruction:
    """Write a register to memory."""
    return Instruction(_STORE | size, base, register, offset)


def store_bytes(base: int, offset: int, data: bytes) -> list[Instruction]:
    """Write bytes to memory, an even number, two at a time."""
    halves = [data[place : place + 2] for place in range(0, len(data), 2)]
    return [
        Instruction(_STORE_NUMBER | Size.HALF, base, 0, offset + 2 * index, number(half))
        for index, half in enumerate(halves)
    ]


def jump(
    label: str, when: Jump = Jump.ALWAYS, register: int = 0, *, number: int = 0, by: int | None = None
) -> Instruction:
    """Go on elsewhere, if a register compares so with a number or another register."""
    if by is None:
        return Instruction(0x05 | when, register, number=number, label=label)
    return Instruction(0x05 | _REGISTER | when, register, by, label=label)


def call(helper: Helper) -> Instruction:
    """Ask the kernel; arguments are in R1 to R5."""
    return Instruction(0x85, number=helper)


def leave() -> Instruction:
    """Return R0."""
    return Instruction(0x95)


def load_map(register: int, descriptor: int) -> list[Instruction]:
    """The address of a map, of which the program keeps a hold."""
    return [Instruction(0x18, register, _MAP_DESCRIPTOR, number=descriptor), Instruction(0)]


def number(data: bytes) -> int:
    """What the machine takes these bytes of memory for; below 2^31 as a signed number of 32 bits."""
    return int.from_bytes(data, sys.byteorder, signed=len(data) == 4)


def assemble(lines: Iterable[Line]) -> bytes:
    """The program. Raises KeyError: a jump names no label."""
    places: dict[str, int] = {}
    found: list[Instruction] = []
    for line in lines:
        if isinstance(line, Label):
            places[line.name] = len(found)
        else:
            found.append(line)
    return b"".join(_pack(one, index, places) for index, one in enumerate(found))


def _pack(one: Instruction, index: int, places: dict[str, int]) -> bytes:
    offset = places[one.label] - index - 1 if one.label else one.offset
    low, high = (one.target, one.source) if sys.byteorder == "little" else (one.source, one.target)
    return _INSTRUCTION.pack(one.code, low | high << 4, offset, one.number)
