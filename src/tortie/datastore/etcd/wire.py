"""Protocol Buffers on the wire, as far as etcd needs them: integers and bytes in numbered fields. Pure.

Source: the Protocol Buffers encoding specification (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from tortie.base.errors import Unavailable

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_VARINT_BITS = 70
_FIXED_BITS = 5
"""Neither of these bits is set in the types VARINT and LENGTH, which differ in the bit of LENGTH."""

_SIGN = 1 << 63
_MODULUS = 1 << 64

Field = tuple[int, int, int]
"""Of a length-delimited field: its number, and where its bytes begin and end. Of an integer: number, value, -1."""


class MalformedMessage(Unavailable):
    """What answered does not speak the protocol."""


def varint(value: int) -> bytes:
    """An integer in groups of seven bits, the lowest first; a negative one as its 64-bit complement."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value %= _MODULUS
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def integer(number: int, value: int) -> bytes:
    """An integer or boolean field; zero is left out, as the default that it is."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def text(number: int, value: bytes) -> bytes:
    """A field of bytes; the empty one is left out, as the default that it is."""
    return message(number, value) if value else b""


def message(number: int, value: bytes) -> bytes:
    """A nested message, which is told even when it is empty."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def signed(value: int) -> int:
    """The 64-bit integer that a varint stands for."""
    value %= _MODULUS
    return value - _MODULUS if value >= _SIGN else value


def fields(data: bytes, begin: int, end: int) -> list[Field]:
    """The integer and length-delimited fields of the message in `data[begin:end]`, in their order.

    Raises:
        MalformedMessage: the bytes are no message.
    """
    found: list[Field] = []
    position = begin
    try:
        while position < end:
            # One byte holds nearly every tag and length, so it is read without a call.
            tag = data[position]
            position += 1
            if tag >= 0x80:
                tag, position = _long_varint(data, position - 1)
            if not tag & _FIXED_BITS:
                value = data[position]
                position += 1
                if value >= 0x80:
                    value, position = _long_varint(data, position - 1)
                if tag & LENGTH:
                    found.append((tag >> 3, position, position + value))
                    position += value
                else:
                    found.append((tag >> 3, value, -1))
            else:
                position += _fixed_size(tag & 7)
    except IndexError:
        position = end + 1
    if position > end:
        raise MalformedMessage("a message ends in the middle of a field")
    return found


def first_field(data: bytes) -> Field | None:
    """The first field of a message, or None of an empty one; what follows is not looked at. Raises MalformedMessage."""
    if not data:
        return None
    try:
        tag, position = _long_varint(data, 0)
        value, position = _long_varint(data, position)
    except IndexError:
        raise MalformedMessage("a message ends in the middle of a field") from None
    if tag & 7 == VARINT:
        return tag >> 3, value, -1
    if tag & 7 != LENGTH or position + value > len(data):
        raise MalformedMessage("a message ends in the middle of a field")
    return tag >> 3, position, position + value


def _long_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < _VARINT_BITS:
        group = data[position]
        position += 1
        if group < 0x80:
            return value | group << shift, position
        value |= (group & 0x7F) << shift
        shift += 7
    raise MalformedMessage("an integer is longer than 64 bits")


def _fixed_size(kind: int) -> int:
    if kind == FIXED64:
        return 8
    if kind == FIXED32:
        return 4
    raise MalformedMessage(f"a field is of unknown type {kind}")
