"""Single packets of every protocol, made by hand: one way, from anybody to anybody, and where they arrive."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from model.packets import Station

from tortie.calculation.verdict import Packet
from tortie.lab.probe import sctp
from tortie.lab.probe.checksum import internet_checksum
from tortie.netlink.namespace import inside

IPIP, TCP, UDP, GRE, SCTP, UDPLITE, UNASSIGNED = 4, 6, 17, 47, 132, 136, 253
ICMP = {4: 1, 6: 58}
WITH_PORTS = (TCP, UDP, SCTP, UDPLITE)
WITHOUT = (GRE, IPIP, UNASSIGNED)
OPENING = {4: (8, 13), 6: (128, 139)}
"""Types of ICMP that open a flow; connection tracking calls most others invalid, whatever policy says."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_NUMBER = {TCP: 20, UDP: 8, UDPLITE: 8, SCTP: 16, GRE: 4, 1: 8, 58: 8}
"""Where behind the IP header a packet has its number."""
_SYN = 0x5002
_BUFFER = 4 << 20


class Shot(msgspec.Struct, frozen=True):
    """A packet between two stations."""

    packet: Packet
    source: Station
    to: Station

    def __str__(self) -> str:
        one = self.packet
        kind = f"ICMP {one.icmp_type}/{one.icmp_code}" if one.icmp_type is not None else f"protocol {one.protocol}"
        ends = [f"{name} {address(one.family, number)}" for name, number in self._ends()]
        return f"{kind} {ends[0]}:{one.source_port} -> {ends[1]}:{one.destination_port}"

    def _ends(self) -> Iterator[tuple[str, int]]:
        yield self.source.name, self.packet.source
        yield self.to.name, self.packet.destination


class Gallery:
    """Raw sockets of every station."""

    def __init__(self, namespaces: Mapping[str, Path]) -> None:
        self._speakers: dict[tuple[str, int], socket.socket] = {}
        self._listeners: dict[socket.socket, tuple[str, int, int]] = {}
        self._poll = select.poll()
        self._by_number: dict[int, socket.socket] = {}
        self._next = 1 << 24
        for name, namespace in namespaces.items():
            with inside(namespace):
                self._open(name)

    def arrived(self, shots: Collection[Shot], expected: Collection[Shot], patience: float) -> set[Shot]:
        """Send them all; those of them that reach their receivers.

        Args:
            patience: seconds to wait for those that are expected, and a tenth of that for the others.
        """
        list(self._heard())
        sent = dict(enumerate(shots, self._next))
        self._next += len(sent)
        found: set[Shot] = set()
        for number, shot in sent.items():
            self._send(shot, number)
            found.update(self._hits(sent))
        missing = set(expected) - found
        end = time.monotonic() + patience
        while missing and time.monotonic() < end:
            found.update(self._hits(sent, 0.01))
            missing -= found
        end = time.monotonic() + patience / 10
        while time.monotonic() < end:
            found.update(self._hits(sent, 0.01))
        return found

    def close(self) -> None:
        """Close all sockets."""
        for one in (*self._speakers.values(), *self._listeners):
            one.close()

    def _open(self, name: str) -> None:
        for family, kind in _FAMILIES.items():
            speaker = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._speakers[name, family] = speaker
            for protocol in (*WITH_PORTS, *WITHOUT, ICMP[family]):
                listener = socket.socket(kind, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                self._listeners[listener] = name, family, protocol
                self._by_number[listener.fileno()] = listener
                self._poll.register(listener, select.POLLIN)

    def _send(self, shot: Shot, number: int) -> None:
        destination = address(shot.packet.family, shot.packet.destination), 0
        with contextlib.suppress(PermissionError):  # the sender's own policy refuses it
            self._speakers[shot.source.name, shot.packet.family].sendto(datagram(shot.packet, number), destination)

    def _hits(self, sent: Mapping[int, Shot], patience: float = 0) -> Iterator[Shot]:
        for name, number in self._heard(patience):
            shot = sent.get(number)
            if shot and shot.to.name == name:
                yield shot

    def _heard(self, patience: float = 0) -> Iterator[tuple[str, int]]:
        """Names of stations, and numbers of packets that they received."""
        for descriptor, _ in self._poll.poll(patience * 1000):
            listener = self._by_number[descriptor]
            name, family, protocol = self._listeners[listener]
            for data in _all_of(listener):
                start = (data[0] & 15) * 4 if family == 4 else 0
                place = start + _NUMBER.get(protocol, 0)
                yield name, int.from_bytes(data[place : place + 4], "big")


def datagram(packet: Packet, number: int) -> bytes:
    """The packet with its IP header, with a number by which it is known again."""
    body = _body(packet, number.to_bytes(4, "big"))
    ends = _packed(packet.family, packet.source) + _packed(packet.family, packet.destination)
    if packet.family == 4:
        # The kernel fills in the length, the identification and the checksum.
        return struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, packet.protocol, 0) + ends + body
    return struct.pack(">IHBB", 6 << 28, len(body), packet.protocol, 64) + ends + body


def address(family: int, number: int) -> str:
    """As people write it."""
    return socket.inet_ntop(_FAMILIES[family], _packed(family, number))


def _body(packet: Packet, number: bytes) -> bytes:
    ports = struct.pack(">HH", packet.source_port or 0, packet.destination_port or 0)
    match packet.protocol:
        case 6:
            return _summed(packet, 16, ports + struct.pack(">IIHHHH", 7, 0, _SYN, 1024, 0, 0) + number)
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
        ends = _packed(packet.family, packet.source) + _packed(packet.family, packet.destination)
        head = ends + struct.pack(">IHH", len(body), 0, packet.protocol)
    checksum = internet_checksum(head + body) or 0xFFFF
    return body[:place] + checksum.to_bytes(2, "big") + body[place + 2 :]


def _packed(family: int, number: int) -> bytes:
    return number.to_bytes(4 if family == 4 else 16, "big")


def _all_of(listener: socket.socket) -> Iterable[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.recv(2048)
