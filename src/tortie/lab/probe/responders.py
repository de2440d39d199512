"""The servers that probes meet: each answers with its name, then echoes."""

from __future__ import annotations

import asyncio
import socket

from tortie.lab.probe.sockets import drain


class TcpResponder:
    """Accepts connections, greets with its name and a newline, and echoes until the other side closes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, name: str) -> None:
        self._loop = loop
        self._listener = listener
        self._greeting = f"{name}\n".encode()
        self._connections: set[socket.socket] = set()
        loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for connection in list(self._connections):
            self._drop(connection)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            connection.setblocking(False)
            self._connections.add(connection)
            self._loop.add_reader(connection, self._echo, connection)
            self._send(connection, self._greeting)

    def _echo(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            self._send(connection, data)
        else:
            self._drop(connection)

    def _send(self, connection: socket.socket, data: bytes) -> None:
        try:
            connection.send(data)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._loop.remove_reader(connection)
            connection.close()


class UdpResponder:
    """Answers each datagram with the same bytes and its name behind them, from the address it was sent to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, one: socket.socket, family: int, name: str) -> None:
        self._loop = loop
        self._socket = one
        self._family = family
        self._name = name.encode()
        loop.add_reader(one, self._answer)

    def close(self) -> None:
        """Stop answering."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        for datagram in drain(self._socket, self._family):
            send_or_drop(self._socket, datagram.data + self._name, datagram.control, datagram.sender)


def send_or_drop(
    one: socket.socket, data: bytes, control: list[tuple[int, int, bytes]], address: tuple[str, int]
) -> None:
    """Send as a server does: what its own packet filter or routes refuse is lost, as on any wire."""
    try:
        one.sendmsg([data], control, 0, address)
    except OSError:
        return
