"""Socket options and ancillary data that the probes need and the standard library does not name (linux/in.h, in6.h)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import msgspec

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_IP_PKTINFO = 8
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_SOL_RAW = 255
_ICMP_FILTER = 1
_PACKET_INFO = {4: (socket.IPPROTO_IP, _IP_PKTINFO), 6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)}
_INTERFACE = {4: slice(0, 4), 6: slice(16, 20)}
_LINGER_RESET = struct.pack("ii", 1, 0)


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """What arrived: data, the sender as the socket module writes it, and a control message to answer from there."""

    data: bytes
    sender: tuple[str, int]
    control: list[tuple[int, int, bytes]]


def tell_destination(one: socket.socket, family: int) -> None:
    """Ask for the address that each datagram was sent to, so that the answer comes from it."""
    if family == 4:
        one.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    else:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


def tell_errors(one: socket.socket, family: int) -> None:
    """Report every ICMP error about what this socket sends, soft ones too."""
    level, option = (socket.IPPROTO_IP, _IP_RECVERR) if family == 4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
    one.setsockopt(level, option, 1)


def only_icmp(one: socket.socket, family: int, *kinds: int) -> None:
    """Let only these ICMP types through to a raw socket."""
    if family == 4:
        mask = 0xFFFFFFFF & ~sum(1 << kind for kind in kinds)
        one.setsockopt(_SOL_RAW, _ICMP_FILTER, mask.to_bytes(4, "little"))
        return
    words = [0xFFFFFFFF] * 8
    for kind in kinds:
        words[kind >> 5] &= ~(1 << (kind & 31))
    one.setsockopt(socket.IPPROTO_ICMPV6, 1, b"".join(word.to_bytes(4, "little") for word in words))


def reset_on_close(one: socket.socket) -> None:
    """Close with a reset, which leaves no TIME_WAIT behind."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


def drain(one: socket.socket, family: int, size: int = 2048) -> Iterator[Datagram]:
    """All datagrams that wait in a non-blocking socket."""
    while True:
        try:
            data, ancillary, _, sender = one.recvmsg(size, 64)
        except BlockingIOError:
            return
        yield Datagram(data, sender[:2], [_from_there(family, item) for item in ancillary if _is_info(family, item)])


def _is_info(family: int, item: tuple[int, int, bytes]) -> bool:
    return item[:2] == _PACKET_INFO[family]


def _from_there(family: int, item: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """The same information without the interface: the route decides where the answer leaves."""
    info = bytearray(item[2])
    info[_INTERFACE[family]] = bytes(4)
    return item[0], item[1], bytes(info)
