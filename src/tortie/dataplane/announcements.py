"""Guests that announce themselves: RARP, gratuitous ARP and neighbour advertisements that a workload sends.

A hypervisor sends RARP when a machine runs on where it arrived (EtherType 0x8035, RFC 903); the guest itself sends
gratuitous ARP (RFC 5227, section 3) or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6). No other
packet counts: what is around a machine that is still elsewhere, such as its pod, may ask for its neighbours.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterable

from tortie.base.errors import KernelError

_ALL = 3
"""ETH_P_ALL (linux/if_ether.h)."""
_ARP, _RARP, _IPV6 = 0x0806, 0x8035, 0x86DD
_ICMPV6, _ADVERTISEMENT = 58, 136
_NEXT_HEADER, _ICMPV6_TYPE = 14 + 6, 14 + 40
"""Offsets in the frame."""

_SO_ATTACH_FILTER = 26
_LOAD_HALF, _LOAD_BYTE, _EQUALS, _RETURN = 0x28, 0x30, 0x15, 0x06
_LOAD_WORD = 0x20
_PACKET_TYPE = (1 << 32) - 0x1000 + 4
"""SKF_AD_OFF + SKF_AD_PKTTYPE (linux/filter.h)."""
_OUTGOING = 4
_KEPT = 128
"""Bytes of a frame that are read: more than is looked at."""
_AT_ONCE = 64
"""Frames that are taken in a row, however fast a guest sends them."""
_SENDER, _TARGET, _ARP_END = 28, 38, 42
"""Offsets of the protocol addresses in an ARP frame."""
_FLAGS, _SOLICITED = _ICMPV6_TYPE + 4, 0x40

_PROGRAM = (
    (_LOAD_WORD, 0, 0, _PACKET_TYPE),
    (_EQUALS, 9, 0, _OUTGOING),
    (_LOAD_HALF, 0, 0, 12),
    (_EQUALS, 6, 0, _ARP),
    (_EQUALS, 5, 0, _RARP),
    (_EQUALS, 0, 5, _IPV6),
    (_LOAD_BYTE, 0, 0, _NEXT_HEADER),
    (_EQUALS, 0, 3, _ICMPV6),
    (_LOAD_BYTE, 0, 0, _ICMPV6_TYPE),
    (_EQUALS, 0, 1, _ADVERTISEMENT),
    (_RETURN, 0, 0, _KEPT),
    (_RETURN, 0, 0, 0),
)
"""A classic BPF program: operation, jumps, operand. What the host itself sends out is none of the guest's."""


def listen(interface: str) -> socket.socket:
    """A socket of this thread's network namespace that gets such frames of one interface, and no others.

    Raises:
        KernelError: among others when there is no such interface.
    """
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        _attach(one)
        # Nothing arrives before this, so nothing passed the filter by.
        one.bind((interface, _ALL))
    except OSError as error:
        one.close()
        raise KernelError(f"listen on interface {interface}", error.errno or errno.EIO) from error
    return one


def hears(one: socket.socket, mac: str) -> bool:
    """Take what has arrived until the guest announces itself; with an empty address anybody is the guest.

    An interface that is gone says nothing.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    for _ in range(_AT_ONCE):
        try:
            frame = one.recv(_KEPT)
        except OSError:
            return False
        if (not own or frame[6:12] == own) and _announces(frame):
            return True
    return False


def _announces(frame: bytes) -> bool:
    """Of what passes the filter."""
    protocol = int.from_bytes(frame[12:14])
    if protocol == _ARP:
        return len(frame) >= _ARP_END and frame[_SENDER : _SENDER + 4] == frame[_TARGET:_ARP_END] != bytes(4)
    if protocol == _IPV6:
        return len(frame) > _FLAGS and not frame[_FLAGS] & _SOLICITED
    return True


def _attach(one: socket.socket) -> None:
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _PROGRAM)
    memory = ctypes.create_string_buffer(program, len(program))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(memory)))


def announcements(mac: str, addresses: Iterable[str]) -> list[bytes]:
    """The frames of a guest that announces itself: RARP as hypervisors send it, gratuitous ARP, and advertisements.

    Args:
        mac: its hardware address.
        addresses: its addresses, of both families.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    frames = [_arp(own, _RARP, 3, own, bytes(4))]
    for address in addresses:
        if ":" in address:
            frames.append(_advertisement(own, socket.inet_pton(socket.AF_INET6, address)))
        else:
            frames.append(_arp(own, _ARP, 1, bytes(6), socket.inet_aton(address)))
    return frames


def _arp(own: bytes, protocol: int, operation: int, target: bytes, address: bytes) -> bytes:
    header = b"\xff" * 6 + own + struct.pack("!H", protocol)
    return header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + own + address + target + address


def _advertisement(own: bytes, address: bytes) -> bytes:
    """Unsolicited, overriding, to all nodes, with the sender's hardware address."""
    group = socket.inet_pton(socket.AF_INET6, "ff02::1")
    body = struct.pack("!I", 0x20000000) + address + b"\x02\x01" + own
    pseudo = address + group + struct.pack("!II", 4 + len(body), _ICMPV6)
    checksum = _checksum(pseudo + struct.pack("!BBH", _ADVERTISEMENT, 0, 0) + body)
    packet = struct.pack("!BBH", _ADVERTISEMENT, 0, checksum) + body
    header = struct.pack("!IHBB", 0x60000000, len(packet), _ICMPV6, 255) + address + group
    return b"\x33\x33\x00\x00\x00\x01" + own + struct.pack("!H", _IPV6) + header + packet


def _checksum(data: bytes) -> int:
    """Of the Internet (RFC 1071); `data` is of even length."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
