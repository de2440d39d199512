"""Netlink messages and attributes: packing and parsing (linux/netlink.h).

Attributes are a 4-byte header (length, type) and data padded to 4 bytes; bit 15 of the type marks a
nested attribute. Integers in headers are in host order; nf_tables puts its own in network order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import TortieError

NLM_F_REQUEST = 0x001
NLM_F_MULTI = 0x002
NLM_F_ACK = 0x004
NLM_F_ECHO = 0x008
NLM_F_DUMP_INTR = 0x010
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_DUMP = 0x300

NLMSG_ERROR = 2
NLMSG_DONE = 3

NESTED = 0x8000
TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_unpack_attribute = _ATTRIBUTE.unpack_from
_U32_ATTRIBUTE = struct.Struct("=HHI")
_unpack_u32 = struct.Struct("=I").unpack_from


class TruncatedMessage(TortieError):
    """The bytes end before the length that they announce; a dump must be repeated."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message: `type`, `flags`, `sequence` and the payload behind the 16-byte header.

    `port` tells who caused an event: the port id of the socket that asked for the change, 0 for the kernel itself.
    """

    type: int
    flags: int
    sequence: int
    payload: bytes
    port: int = 0


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Pack one message (port id 0: to or from the kernel)."""
    return _HEADER.pack(16 + len(payload), kind, flags, sequence, 0) + payload + bytes(-len(payload) % 4)


def messages(data: bytes) -> Iterator[Message]:
    """Split a datagram. Raises TruncatedMessage."""
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 16:
            raise TruncatedMessage(f"{end - offset} bytes where a netlink header was expected")
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if length < 16 or offset + length > end:
            raise TruncatedMessage(f"message of {length} bytes in {end - offset}")
        yield Message(kind, flags, sequence, data[offset + 16 : offset + length], port)
        offset += (length + 3) & ~3


def attribute(kind: int, data: bytes) -> bytes:
    """Pack one attribute; `data` may have up to 65,531 bytes."""
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Pack attributes inside one."""
    return attribute(kind | NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    """An attribute of one byte."""
    return attribute(kind, struct.pack("=B", value))


def u16(kind: int, value: int) -> bytes:
    """An attribute of two bytes in host order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """An attribute of four bytes in host order."""
    return _U32_ATTRIBUTE.pack(8, kind, value)


def be16(kind: int, value: int) -> bytes:
    """An attribute of two bytes in network order."""
    return attribute(kind, struct.pack(">H", value))


def be32(kind: int, value: int) -> bytes:
    """An attribute of four bytes in network order."""
    return attribute(kind, struct.pack(">I", value))


def be64(kind: int, value: int) -> bytes:
    """An attribute of eight bytes in network order."""
    return attribute(kind, struct.pack(">Q", value))


def text(kind: int, value: str) -> bytes:
    """An attribute that is a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Parse attributes, the last of each type winning; flags are taken off types. Raises TruncatedMessage."""
    found = {}
    end = len(data)
    # The same walk as `attribute_list`, written out: this is the hottest loop of every dump.
    while offset + 4 <= end:
        length, kind = _unpack_attribute(data, offset)
        if length < 4 or offset + length > end:
            raise TruncatedMessage(f"attribute of {length} bytes in {end - offset}")
        found[kind & TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def attribute_list(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Parse attributes in order, repeated types included. Raises TruncatedMessage."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            raise TruncatedMessage(f"attribute of {length} bytes in {end - offset}")
        yield kind & TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def as_text(data: bytes) -> str:
    """The string in an attribute, without its NUL."""
    return data.split(b"\0", 1)[0].decode(errors="surrogateescape")


def unpack(structure: struct.Struct, data: bytes, offset: int = 0) -> tuple[Any, ...]:
    """The fields of a fixed header. Raises TruncatedMessage."""
    if len(data) < offset + structure.size:
        raise TruncatedMessage(f"{len(data)} bytes where {offset + structure.size} were expected")
    return structure.unpack_from(data, offset)


def as_u32(data: bytes) -> int:
    """The four bytes of an attribute, in host order. Raises TruncatedMessage."""
    if len(data) < 4:
        raise TruncatedMessage(f"{len(data)} bytes where 4 were expected")
    value: int = _unpack_u32(data)[0]
    return value


def as_address(data: bytes) -> Cidr:
    """The address of either family in an attribute. Raises TruncatedMessage."""
    if len(data) not in (4, 16):
        raise TruncatedMessage(f"an address of {len(data)} bytes")
    return Cidr.from_bytes(data)
