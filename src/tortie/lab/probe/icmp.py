"""ICMP and ICMPv6 (RFC 792, RFC 4443): echo requests, and what an answer or an error refers to."""

from __future__ import annotations

import struct

import msgspec

from tortie.lab.probe.checksum import internet_checksum

PROTOCOL = {4: 1, 6: 58}
ECHO_REQUEST = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}
UNREACHABLE = {4: 3, 6: 1}
_ECHO = struct.Struct(">BBHHH")
_PORTS = struct.Struct(">H")


class Notice(msgspec.Struct, frozen=True, gc=False):
    """An echo reply, or a "destination unreachable" about a packet that this side sent.

    Args:
        protocol: IP protocol of the packet that it is about.
        number: identifier of the echo, or source port of the packet.
        sequence: of an echo reply.
        code: of an unreachable; None for an echo reply.
    """

    protocol: int
    number: int
    sequence: int = 0
    code: int | None = None


def echo_request(family: int, identifier: int, sequence: int) -> bytes:
    """An echo request; the kernel fills in the checksum of ICMPv6."""
    head = _ECHO.pack(ECHO_REQUEST[family], 0, 0, identifier, sequence)
    return head if family == 6 else head[:2] + struct.pack(">H", internet_checksum(head)) + head[4:]


def parse(family: int, data: bytes) -> Notice | None:
    """Read an ICMP message (behind the IP header); None when it is neither kind or cut short."""
    if len(data) < _ECHO.size:
        return None
    kind, code, _, identifier, sequence = _ECHO.unpack_from(data)
    if kind == ECHO_REPLY[family]:
        return Notice(PROTOCOL[family], identifier, sequence)
    if kind == UNREACHABLE[family]:
        return _about(family, code, data[_ECHO.size :])
    return None


def transport_offset(family: int, packet: bytes) -> int:
    """Length of the IP header; extension headers are not followed."""
    return (packet[0] & 0xF) * 4 if family == 4 else 40


def _about(family: int, code: int, packet: bytes) -> Notice | None:
    """The packet that an error quotes."""
    if not packet:
        return None
    offset = transport_offset(family, packet)
    if len(packet) < offset + _ECHO.size:
        return None
    protocol = packet[9] if family == 4 else packet[6]
    at = offset + (4 if protocol == PROTOCOL[family] else 0)
    return Notice(protocol, _PORTS.unpack_from(packet, at)[0], code=code)
