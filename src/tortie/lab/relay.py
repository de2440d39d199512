"""A program that carries TCP connections from this machine's loopback into the namespace that it was started in.

Started as `python -m tortie.lab.relay OUTSIDE FROM=TO ...`: it listens in the namespace whose path is OUTSIDE, and
connects in its own. FROM and TO are IPv4 addresses with ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from tortie.base.errors import Unavailable
from tortie.netlink.namespace import inside

_CHUNK = 1 << 16
_POLL_SECONDS = 0.02

Address = tuple[str, int]


def main(outside: str, *pairs: str) -> None:
    """Listen, then serve until killed.

    Args:
        outside: path of the namespace to listen in.
    """
    routes = [(_address(begin), _address(end)) for begin, _, end in (pair.partition("=") for pair in pairs)]
    with inside(Path(outside)):
        listeners = [(_listen(begin), end) for begin, end in routes]
    asyncio.run(_serve(listeners))


def command(outside: Path, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """How to start it."""
    return [sys.executable, "-m", __name__, str(outside), *(f"{begin}={end}" for begin, end in pairs)]


def wait(addresses: Iterable[str], patience: float = 20.0) -> None:
    """Wait until the relay listens at each of these, for at most `patience` seconds. Raises Unavailable."""
    deadline = time.monotonic() + patience
    for address in addresses:
        while not _listens(_address(address)):
            if time.monotonic() > deadline:
                raise Unavailable(f"relay to etcd: does not listen at {address}")
            time.sleep(_POLL_SECONDS)


def _listens(address: Address) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _listen(address: Address) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(64)
    return listener


async def _serve(listeners: Sequence[tuple[socket.socket, Address]]) -> None:
    for listener, end in listeners:
        await asyncio.start_server(partial(_carry, end), sock=listener)
    await asyncio.Event().wait()


async def _carry(end: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy both ways; whichever side ends first ends the other."""
    with contextlib.suppress(OSError), contextlib.closing(writer):
        there, back = await asyncio.open_connection(*end)
        with contextlib.closing(back):
            copies = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


if __name__ == "__main__":
    main(*sys.argv[1:])
