"""Packets as bytes, each with a number by which it is known again, and the ways in which the same packet may come."""

from __future__ import annotations

import enum
import struct

from tortie.calculation.verdict import Packet
from tortie.lab.probe import sctp
from tortie.lab.probe.checksum import internet_checksum

IPIP, TCP, UDP, GRE, SCTP, UDPLITE, UNASSIGNED = 4, 6, 17, 47, 132, 136, 253
ICMP = {4: 1, 6: 58}
WITH_PORTS = (TCP, UDP, SCTP, UDPLITE)
WITHOUT = (GRE, IPIP, UNASSIGNED)
OPENING = {4: (8, 13), 6: (128, 139)}
"""Types of ICMP that open a flow; connection tracking calls most others invalid, whatever policy says."""
NUMBER = {TCP: 20, UDP: 8, UDPLITE: 8, SCTP: 16, GRE: 4, 1: 8, 58: 8}
"""Where behind the IP header a packet has its number; otherwise it begins with it."""
_SYN = 0x5002
_HOP_BY_HOP, _DESTINATION, _FRAGMENT = 0, 60, 44
_PADDING = bytes((1, 4, 0, 0, 0, 0))
"""An option that says nothing (RFC 8200, section 4.2)."""
_NO_OPERATION = bytes((1, 1, 1, 0))
"""The same for IPv4 (RFC 791)."""
_FIRST = 8
"""Bytes of the first fragment: no more than ports."""
_FIRST_TCP6 = 24
"""Of TCP over IPv6 it has to hold the whole header (RFC 8200, section 4.5); the kernel takes no other."""


class Dress(enum.Enum):
    """How a packet comes; policy is about what is inside."""

    PLAIN = "plain"
    OPTIONS = "with options"
    PIECES = "in pieces"


def datagrams(packet: Packet, number: int, dress: Dress) -> list[bytes]:
    """The packet with its IP header, in one piece or in two."""
    body = _body(packet, number.to_bytes(4, "big"))
    first = _FIRST_TCP6 if (packet.family, packet.protocol) == (6, TCP) else _FIRST
    if dress is Dress.PIECES and len(body) > first:
        pieces = ((body[:first], 0, True), (body[first:], first // 8, False))
        fragment = _fragment4 if packet.family == 4 else _fragment6
        return [fragment(packet, number, *piece) for piece in pieces]
    if packet.family == 4:
        return [_header4(packet, _NO_OPERATION if dress is Dress.OPTIONS else b"") + body]
    if dress is Dress.OPTIONS:
        body = bytes((_DESTINATION, 0)) + _PADDING + bytes((packet.protocol, 0)) + _PADDING + body
        return [_header6(packet, len(body), _HOP_BY_HOP) + body]
    return [_header6(packet, len(body), packet.protocol) + body]


def packed(family: int, number: int) -> bytes:
    """An address."""
    return number.to_bytes(4 if family == 4 else 16, "big")


def _header4(packet: Packet, options: bytes = b"", number: int = 0, place: int = 0) -> bytes:
    """The kernel fills in the length, the checksum and, where there is none, the identification."""
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, 0, number, place, 64, packet.protocol, 0)
    return head + _ends(packet) + options


def _header6(packet: Packet, length: int, following: int) -> bytes:
    return struct.pack(">IHBB", 6 << 28, length, following, 64) + _ends(packet)


def _fragment4(packet: Packet, number: int, body: bytes, place: int, more: bool) -> bytes:
    return _header4(packet, b"", number & 0xFFFF or 1, more << 13 | place) + body


def _fragment6(packet: Packet, number: int, body: bytes, place: int, more: bool) -> bytes:
    head = struct.pack(">BBHI", packet.protocol, 0, place << 3 | more, number)
    return _header6(packet, len(head) + len(body), _FRAGMENT) + head + body


def _ends(packet: Packet) -> bytes:
    return packed(packet.family, packet.source) + packed(packet.family, packet.destination)


def _body(packet: Packet, number: bytes) -> bytes:
    ports = struct.pack(">HH", packet.source_port or 0, packet.destination_port or 0)
    match packet.protocol:
        case 6:
            return _summed(packet, 16, ports + struct.pack(">IIHHHH", 7, 0, _SYN, 1024, 0, 0) + number + bytes(8))
        case 17:
            return _summed(packet, 6, ports + struct.pack(">HH", 12, 0) + number)
        case 136:
            return _summed(packet, 6, ports + struct.pack(">HH", 0, 0) + number)
        case 132:
            body = sctp.init_body(int.from_bytes(number, "big"))
            return sctp.pack(
                sctp.Packet(packet.source_port or 0, packet.destination_port or 0, 0, sctp.Chunk.INIT, body)
            )
        case 1 | 58:
            head = struct.pack(">BBH", packet.icmp_type or 0, packet.icmp_code or 0, 0)
            return _summed(packet, 2, head + number + number)
        case 47:
            return struct.pack(">HH", 0, 0x0800) + number
    return number + bytes(16)


def _summed(packet: Packet, place: int, body: bytes) -> bytes:
    """With its checksum, which is over the addresses too, but for ICMP of IPv4."""
    head = b""
    if packet.protocol != 1:
        head = _ends(packet) + struct.pack(">IHH", len(body), 0, packet.protocol)
    checksum = internet_checksum(head + body) or 0xFFFF
    return body[:place] + checksum.to_bytes(2, "big") + body[place + 2 :]
