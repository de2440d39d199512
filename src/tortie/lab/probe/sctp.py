"""SCTP packets of the four-way handshake, packed and parsed by hand (RFC 9260): one chunk each."""

from __future__ import annotations

import struct
from collections.abc import Container
from enum import IntEnum

import msgspec

from tortie.lab.probe.checksum import crc32c

PROTOCOL = 132
_COMMON = struct.Struct(">HHI")
_CHUNK = struct.Struct(">BBH")
_INIT = struct.Struct(">IIHHI")
_PARAMETER = struct.Struct(">HH")
_STATE_COOKIE = 7
_WINDOW = 65536
_STREAMS = 1


class Chunk(IntEnum):
    """Chunk types used here."""

    INIT = 1
    INIT_ACK = 2
    ABORT = 6
    COOKIE_ECHO = 10
    COOKIE_ACK = 11


class Packet(msgspec.Struct, frozen=True, gc=False):
    """A packet with its first chunk.

    Args:
        tag: verification tag: what the receiver asked for in its INIT or INIT ACK; 0 in an INIT.
        chunk: type of the first chunk, known here or not.
        body: the chunk behind its header.
    """

    source_port: int
    destination_port: int
    tag: int
    chunk: int
    body: bytes = b""


def pack(packet: Packet) -> bytes:
    """The bytes behind the IP header, checksum included."""
    head = _COMMON.pack(packet.source_port, packet.destination_port, packet.tag)
    chunk = _CHUNK.pack(packet.chunk, 0, _CHUNK.size + len(packet.body)) + packet.body
    chunk += bytes(-len(chunk) % 4)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def parse(data: bytes) -> Packet | None:
    """The packet in `data` (behind the IP header), or None when it is cut short or its checksum is wrong."""
    if len(data) < 16 or struct.unpack_from("<I", data, 8)[0] != crc32c(data[:8] + bytes(4) + data[12:]):
        return None
    source, destination, tag = _COMMON.unpack_from(data)
    kind, _, length = _CHUNK.unpack_from(data, 12)
    if length < 4 or 12 + length > len(data):
        return None
    return Packet(source, destination, tag, kind, data[16 : 12 + length])


def init_body(tag: int, cookie: bytes = b"") -> bytes:
    """The body of INIT, or of INIT ACK when it carries a state cookie."""
    body = _INIT.pack(tag, _WINDOW, _STREAMS, _STREAMS, tag)
    if not cookie:
        return body
    return body + _PARAMETER.pack(_STATE_COOKIE, _PARAMETER.size + len(cookie)) + cookie


def initiate_tag(body: bytes) -> int:
    """The tag that an INIT or INIT ACK asks the other side to use; 0, which is invalid, when cut short."""
    return int.from_bytes(body[:4], "big") if len(body) >= _INIT.size else 0


def state_cookie(body: bytes) -> bytes:
    """The cookie in an INIT ACK; empty when there is none."""
    offset = _INIT.size
    while offset + _PARAMETER.size <= len(body):
        kind, length = _PARAMETER.unpack_from(body, offset)
        if length < _PARAMETER.size:
            return b""
        if kind == _STATE_COOKIE:
            return body[offset + _PARAMETER.size : offset + length]
        offset += (length + 3) & ~3
    return b""


def reply(packet: Packet, tag: int, chunk: Chunk, body: bytes = b"") -> Packet:
    """A packet back to the sender of `packet`."""
    return Packet(packet.destination_port, packet.source_port, tag, chunk, body)


def respond(packet: Packet, ports: Container[int], name: str) -> Packet | None:
    """What a server named `name` that listens on `ports` answers; it keeps no state, the cookie carries it.

    The cookie is the client's tag and the server's name, so that the client learns who answered.
    """
    if packet.chunk == Chunk.INIT:
        tag = initiate_tag(packet.body)
        if packet.destination_port not in ports:
            return reply(packet, tag, Chunk.ABORT)
        return reply(
            packet, tag, Chunk.INIT_ACK, init_body(tag ^ 0xFFFFFFFF or 1, tag.to_bytes(4, "big") + name.encode())
        )
    if packet.chunk == Chunk.COOKIE_ECHO and packet.destination_port in ports:
        return reply(packet, int.from_bytes(packet.body[:4], "big"), Chunk.COOKIE_ACK)
    return None
