"""All sockets that the probes have in one network namespace, and the way from a packet to who waits for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from tortie.lab.probe import icmp, sctp
from tortie.lab.probe.responders import TcpResponder, UdpResponder, send_or_drop
from tortie.lab.probe.sockets import FAMILY, drain, only_icmp, tell_destination

_BACKLOG = 1024
_RECEIVE_BUFFER = 4 << 20


class Waiter(Protocol):
    """Who waits for packets that arrive on raw sockets."""

    def noticed(self, notice: icmp.Notice) -> None:
        """An ICMP message about what this waiter sent has arrived."""

    def received(self, packet: sctp.Packet) -> None:
        """An SCTP packet to this waiter's port has arrived."""


class Station:
    """The sockets of one namespace.

    Must be used by the loop's thread alone, which `enter` moves into this station's namespace; a socket
    stays in the namespace of the thread that opened it, wherever that thread goes later.

    Args:
        enter: moves the calling thread into this station's namespace.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, enter: Callable[[], None]) -> None:
        self.name = name
        self.loop = loop
        self.waiting: dict[tuple[int, int, int], Waiter] = {}
        self._enter = enter
        self._responders: dict[tuple[str, int, int], TcpResponder | UdpResponder] = {}
        self._ports: set[int] = set()
        self._icmp = {family: self._open_icmp(family) for family in FAMILY}
        self._sctp = {family: self._open_sctp(family) for family in FAMILY}

    def open(self, family: int, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        """A non-blocking socket in this namespace, for one family alone: both may use one port."""
        self._enter()
        one = socket.socket(FAMILY[family], kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        if family == 6 and kind != socket.SOCK_RAW:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return one

    def listen(self, *ports: int) -> None:
        """Answer on these ports from now on: TCP, UDP and SCTP, both families."""
        for port in set(ports) - self._ports:
            for family in FAMILY:
                self._responders["tcp", family, port] = self._listen_tcp(family, port)
                self._responders["udp", family, port] = self._listen_udp(family, port)
            self._ports.add(port)

    def unlisten(self, *ports: int) -> None:
        """Refuse on these ports from now on."""
        for port in self._ports.intersection(ports):
            for family in FAMILY:
                for transport in ("tcp", "udp"):
                    self._responders.pop((transport, family, port)).close()
            self._ports.discard(port)

    def close(self) -> None:
        """Close every socket that belongs to the station itself."""
        self.unlisten(*self._ports)
        for one in (*self._icmp.values(), *self._sctp.values()):
            self.loop.remove_reader(one)
            one.close()

    def send_icmp(self, family: int, address: str, message: bytes) -> None:
        """Send an ICMP message. Raises OSError when this namespace itself refuses it."""
        self._icmp[family].sendto(message, (address, 0))

    def send_sctp(self, family: int, address: str, packet: sctp.Packet) -> None:
        """Send an SCTP packet. Raises OSError when this namespace itself refuses it."""
        self._sctp[family].sendto(sctp.pack(packet), (address, 0))

    def _open_icmp(self, family: int) -> socket.socket:
        one = self._open_raw(family, icmp.PROTOCOL[family])
        only_icmp(one, family, icmp.ECHO_REPLY[family], icmp.UNREACHABLE[family])
        self.loop.add_reader(one, self._icmp_arrived, one, family)
        return one

    def _open_sctp(self, family: int) -> socket.socket:
        one = self._open_raw(family, sctp.PROTOCOL)
        tell_destination(one, family)
        self.loop.add_reader(one, self._sctp_arrived, one, family)
        return one

    def _open_raw(self, family: int, protocol: int) -> socket.socket:
        one = self.open(family, socket.SOCK_RAW, protocol)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        return one

    def _listen_tcp(self, family: int, port: int) -> TcpResponder:
        one = self._bound(family, socket.SOCK_STREAM, port)
        one.listen(_BACKLOG)
        return TcpResponder(self.loop, one, self.name)

    def _listen_udp(self, family: int, port: int) -> UdpResponder:
        one = self._bound(family, socket.SOCK_DGRAM, port)
        tell_destination(one, family)
        return UdpResponder(self.loop, one, family, self.name)

    def _bound(self, family: int, kind: socket.SocketKind, port: int) -> socket.socket:
        """Several probers may stand in one namespace: they share the ports."""
        one = self.open(family, kind)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("", port))
        return one

    def _icmp_arrived(self, one: socket.socket, family: int) -> None:
        for datagram in drain(one, family):
            notice = icmp.parse(family, _behind_ip(family, datagram.data))
            waiter = notice and self.waiting.get((family, notice.protocol, notice.number))
            if notice and waiter:
                waiter.noticed(notice)

    def _sctp_arrived(self, one: socket.socket, family: int) -> None:
        for datagram in drain(one, family):
            packet = sctp.parse(_behind_ip(family, datagram.data))
            if packet is None:
                continue
            answer = sctp.respond(packet, self._ports, self.name)
            if answer is not None:
                send_or_drop(one, sctp.pack(answer), datagram.control, (datagram.sender[0], 0))
            elif waiter := self.waiting.get((family, sctp.PROTOCOL, packet.destination_port)):
                waiter.received(packet)


def _behind_ip(family: int, data: bytes) -> bytes:
    """Raw sockets give IPv4 packets with their header, and IPv6 ones without."""
    return data[icmp.transport_offset(4, data) :] if family == 4 else data
