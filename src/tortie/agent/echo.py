"""Echo requests (RFC 792, RFC 4443) of an exact size, which may not be broken up on the way."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import ExitStack

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError

HEADERS = {4: 28, 6: 48}
"""Bytes of an echo request besides its contents."""

_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
_FAMILIES = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
_DISCOVERY = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
_PROBE = 3
"""IP_MTU_DISCOVER, IPV6_MTU_DISCOVER and IP_PMTUDISC_PROBE of linux/in.h: never broken up, whatever was learned."""
_MARK = 36
_ECHO = struct.Struct(">BBHHH")


class Echo:
    """Asks other hosts, from the network namespace of the thread that makes it; closed at the end.

    Args:
        mark: of the packets that it sends; 0 is none.
    """

    def __init__(self, mark: int = 0) -> None:
        self._number = 0
        self._identity = int.from_bytes(os.urandom(2), "big")
        self._waiting: dict[tuple[str, int], asyncio.Future[None]] = {}
        with ExitStack() as stack:
            self._sockets = {family: stack.enter_context(_open(family, mark)) for family in _FAMILIES}
            self._stack = stack.pop_all()

    def listen(self) -> None:
        """Take answers, in the running event loop."""
        for family, one in self._sockets.items():
            asyncio.get_running_loop().add_reader(one, self._arrived, family, one)

    def close(self) -> None:
        """Ask no more."""
        for one in self._sockets.values():
            asyncio.get_running_loop().remove_reader(one)
        self._stack.close()

    async def answers(self, address: Cidr, size: int, patience: float) -> bool:
        """Whether an answer of the same size comes. What cannot be sent has none.

        Args:
            size: of the whole packet, in bytes.
            patience: seconds.
        """
        self._number = (self._number + 1) & 0xFFFF
        key = address.text, self._number
        answered = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            self._sockets[address.family].sendto(self._packet(address.family, size), (address.text, 0))
            async with asyncio.timeout(patience):
                await answered
        except (OSError, TimeoutError):
            return False
        finally:
            del self._waiting[key]
        return True

    def _packet(self, family: int, size: int) -> bytes:
        body = bytes(max(0, size - HEADERS[family]))
        head = _ECHO.pack(_REQUEST[family], 0, 0, self._identity, self._number)
        # The kernel does that of ICMPv6.
        checksum = _checksum(head) if family == 4 else 0
        return _ECHO.pack(_REQUEST[family], 0, checksum, self._identity, self._number) + body

    def _arrived(self, family: int, one: socket.socket) -> None:
        try:
            packet, sender = one.recvfrom(1 << 16)
        except OSError:
            return
        start = (packet[0] & 15) * 4 if family == 4 and packet else 0
        if len(packet) < start + _ECHO.size:
            return
        kind, _, _, identity, number = _ECHO.unpack_from(packet, start)
        waiting = self._waiting.get((Cidr.host(str(sender[0]).partition("%")[0]).text, number))
        if (kind, identity) == (_REPLY[family], self._identity) and waiting is not None and not waiting.done():
            waiting.set_result(None)


def _open(family: int, mark: int) -> socket.socket:
    """Raises KernelError."""
    domain, protocol = _FAMILIES[family]
    try:
        one = socket.socket(domain, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
        one.setsockopt(*_DISCOVERY[family], _PROBE)
        if mark:
            one.setsockopt(socket.SOL_SOCKET, _MARK, mark)
    except OSError as error:
        raise KernelError(f"open a socket for ICMP of IPv{family}", error.errno or 0) from error
    return one


def _checksum(data: bytes) -> int:
    """RFC 1071; zeros that follow change nothing."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~((total >> 16) + total) & 0xFFFF
