"""A stream of numbered requests between a pair, and the outages that it saw."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Protocol, Self

from tortie.base.errors import Unsupported
from tortie.lab.probe import icmp, sctp
from tortie.lab.probe.attempts import Numbers, open_udp
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.outages import Report, Request, report
from tortie.lab.probe.sockets import reset_on_close
from tortie.lab.probe.station import Station

_NUMBER = struct.Struct(">Q")
_GRACE = 0.2
_LOOKS = 40
_RECENT = 32
_LATE = 0.02
_CONNECT = 2.0


class Carrier(Protocol):
    """One long-lived flow that carries numbered requests and gives back the numbers that were answered."""

    def send(self, number: int) -> None:
        """Send a request. Raises OSError."""

    def close(self) -> None:
        """End the flow."""


class Stream:
    """Requests every `interval` seconds until `stop`. Use as a context manager, or stop it by hand."""

    def __init__(self, station: Station, probe: Probe, numbers: Numbers, interval: float) -> None:
        self.probe = probe
        self._station = station
        self._numbers = numbers
        self._interval = interval
        self._requests: list[Request] = []
        self._broken = ""
        self._carrier: Carrier | None = None
        self._sender: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def start(self) -> None:
        """Open the flow and begin; called by the prober in its own thread. Raises Unsupported, OSError."""
        self._carrier = await self._open()
        self._sender = self._station.loop.create_task(self._send(self._carrier))

    def stop(self, late: float = _LATE) -> Report:
        """Stop sending, wait a little for the last answers, and report; may be called again.

        Args:
            late: seconds after which an answer counts as part of an outage.
        """
        return asyncio.run_coroutine_threadsafe(self._stop(late), self._station.loop).result()

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return len(self._requests)

    def answered(self, number: int) -> None:
        """The answer to a request has arrived; repeated ones change nothing."""
        if number < len(self._requests) and self._requests[number].answered is None:
            self._requests[number].answered = self._station.loop.time()

    def broke(self, error: OSError | None) -> None:
        """The connection broke; datagram flows go on after an error, so they never call this."""
        self._broken = self._broken or (str(error) if error else "closed by the other side")

    async def _open(self) -> Carrier:
        match self.probe.transport:
            case Transport.TCP:
                return TcpCarrier(self, self._station, await _connect(self._station, self.probe))
            case Transport.UDP:
                return UdpCarrier(self, self._station, open_udp(self._station, self.probe, self._numbers))
            case Transport.ICMP:
                return IcmpCarrier(self, self._station, self._numbers.take())
            case Transport.SCTP:
                raise Unsupported("a stream over SCTP: its packets are hand-made and carry no data")

    async def _send(self, carrier: Carrier) -> None:
        """Keep to the beat: a late wake-up does not make later requests late."""
        loop = self._station.loop
        beat = loop.time()
        while not self._broken:
            self._requests.append(Request(loop.time()))
            with contextlib.suppress(OSError):
                carrier.send(len(self._requests) - 1)
            beat = max(beat + self._interval, loop.time() - self._interval)
            await asyncio.sleep(beat - loop.time())

    async def _stop(self, late: float) -> Report:
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None
            await self._wait_for_the_last()
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        return report(self._requests, late, self._station.loop.time(), self._broken)

    async def _wait_for_the_last(self) -> None:
        """Answers on their way when sending stopped are no loss."""
        for _ in range(_LOOKS):
            recent = self._requests[-_RECENT:]
            if self._broken or all(one.answered for one in recent):
                return
            await asyncio.sleep(_GRACE / _LOOKS)


class TcpCarrier:
    """One connection, already open and greeted."""

    def __init__(self, stream: Stream, station: Station, one: socket.socket) -> None:
        self._stream = stream
        self._station = station
        self._socket = one
        self._rest = b""
        station.loop.add_reader(one, self._arrived)

    def send(self, number: int) -> None:
        self._socket.send(_NUMBER.pack(number))

    def close(self) -> None:
        self._station.loop.remove_reader(self._socket)
        self._socket.close()

    def _arrived(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:
            self._break(error)
            return
        if not data:
            self._break(None)
            return
        data = self._rest + data
        whole = len(data) - len(data) % _NUMBER.size
        self._rest = data[whole:]
        for (number,) in _NUMBER.iter_unpack(data[:whole]):
            self._stream.answered(number)

    def _break(self, error: OSError | None) -> None:
        self._station.loop.remove_reader(self._socket)
        self._stream.broke(error)


class UdpCarrier:
    """One flow from one port."""

    def __init__(self, stream: Stream, station: Station, one: socket.socket) -> None:
        self._stream = stream
        self._station = station
        self._socket = one
        station.loop.add_reader(one, self._arrived)

    def send(self, number: int) -> None:
        self._socket.send(_NUMBER.pack(number))

    def close(self) -> None:
        self._station.loop.remove_reader(self._socket)
        self._socket.close()

    def _arrived(self) -> None:
        with contextlib.suppress(OSError):
            data = self._socket.recv(2048)
            if len(data) >= _NUMBER.size:
                self._stream.answered(_NUMBER.unpack_from(data)[0])


class IcmpCarrier:
    """Echo requests with one identifier; numbers pass as 16-bit sequence numbers and are told apart by age."""

    def __init__(self, stream: Stream, station: Station, identifier: int) -> None:
        self._stream = stream
        self._station = station
        self._identifier = identifier
        self._key = (stream.probe.family, icmp.PROTOCOL[stream.probe.family], identifier)
        station.waiting[self._key] = self

    def send(self, number: int) -> None:
        family = self._stream.probe.family
        request = icmp.echo_request(family, self._identifier, number & 0xFFFF)
        self._station.send_icmp(family, self._stream.probe.address, request)

    def close(self) -> None:
        self._station.waiting.pop(self._key, None)

    def noticed(self, notice: icmp.Notice) -> None:
        """An echo reply; errors are losses."""
        if notice.code is None:
            last = self._stream.sent - 1
            self._stream.answered(last - ((last - notice.sequence) & 0xFFFF))

    def received(self, packet: sctp.Packet) -> None:
        """Never: no port is waited for."""


async def _connect(station: Station, probe: Probe) -> socket.socket:
    """A connection past the server's greeting. Raises OSError."""
    one = station.open(probe.family, socket.SOCK_STREAM)
    try:
        reset_on_close(one)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(_CONNECT):
            await station.loop.sock_connect(one, (probe.address, probe.port))
            while await station.loop.sock_recv(one, 1) not in (b"\n", b""):
                pass
    except OSError:
        one.close()
        raise
    return one
