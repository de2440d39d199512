"""Single packets of every protocol, made by hand: one way, from anybody to anybody, and where they arrive."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from model.datagrams import ICMP, NUMBER, WITH_PORTS, WITHOUT, Dress, datagrams, packed
from model.packets import Station

from tortie.calculation.verdict import Packet
from tortie.netlink.namespace import inside

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_BUFFER = 4 << 20


class Shot(msgspec.Struct, frozen=True):
    """A packet between two stations."""

    packet: Packet
    source: Station
    to: Station
    dress: Dress = Dress.PLAIN

    def __str__(self) -> str:
        one = self.packet
        kind = f"ICMP {one.icmp_type}/{one.icmp_code}" if one.icmp_type is not None else f"protocol {one.protocol}"
        ends = [f"{name} {address(one.family, number)}" for name, number in self._ends()]
        return f"{kind} {ends[0]}:{one.source_port} -> {ends[1]}:{one.destination_port}, {self.dress.value}"

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
            for data in datagrams(shot.packet, number, shot.dress):
                self._speakers[shot.source.name, shot.packet.family].sendto(data, destination)

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
                place = start + NUMBER.get(protocol, 0)
                yield name, int.from_bytes(data[place : place + 4], "big")


def address(family: int, number: int) -> str:
    """As people write it."""
    return socket.inet_ntop(_FAMILIES[family], packed(family, number))


def _all_of(listener: socket.socket) -> Iterable[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.recv(2048)
