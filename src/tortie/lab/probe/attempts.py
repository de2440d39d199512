"""One probe under way, per transport: send as often as told, and settle on the first answer."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import msgspec

from tortie.lab.probe import icmp, sctp
from tortie.lab.probe.model import Answer, Outcome, Probe, Transport, Verdict
from tortie.lab.probe.sockets import reset_on_close, tell_errors
from tortie.lab.probe.station import Station

_NONCE = 8
_FIRST_PORT = 20000
_LAST_PORT = 60999
_SILENT = frozenset({errno.EPERM, errno.ETIMEDOUT})


class Numbers(msgspec.Struct):
    """Source ports and identifiers in turn: one that was used lately could pass as part of a flow tracked by then."""

    next: int = _FIRST_PORT

    def take(self) -> int:
        """A number from 20000 to 60999."""
        taken, self.next = self.next, self.next + 1 if self.next < _LAST_PORT else _FIRST_PORT
        return taken


class Attempt:
    """A probe under way.

    Attributes:
        answered: the outcome of the probe, as soon as there is one.
        started: moment of the first packet, on the loop's monotonic clock.
    """

    def __init__(self, station: Station, probe: Probe, numbers: Numbers) -> None:
        self.station = station
        self.probe = probe
        self.numbers = numbers
        self.answered = station.loop.create_future()
        self.started = 0.0

    def send(self) -> None:
        """Send a packet, the first or a further one; a refusal by the sender's own namespace is an answer."""
        self.started = self.started or self.station.loop.time()
        try:
            self.transmit()
        except OSError as error:
            self.refused(error.errno)

    def transmit(self) -> None:
        """Send one packet. Raises OSError."""
        raise NotImplementedError

    def close(self) -> None:
        """Free what the probe holds, whether it was answered or not."""

    def refused(self, code: int | None) -> None:
        """Settle on an error number: the sender's own packet filter says EPERM where a remote one is silent."""
        number = code or errno.EIO
        verdict = Verdict.DENIED if number in _SILENT else Verdict.REFUSED
        self.settle(verdict, errno.errorcode.get(number, os.strerror(number)))

    def settle(self, verdict: Verdict, reason: str = "", by: str = "") -> None:
        """Take the first answer; later ones change nothing."""
        if not self.answered.done():
            self.answered.set_result(Answer(verdict, self.station.loop.time(), reason, by))

    def give_up(self) -> None:
        """The wait is over: silence is denial."""
        self.settle(Verdict.DENIED)

    @property
    def outcome(self) -> Outcome:
        """What became of the probe; only once answered."""
        answer: Answer = self.answered.result()
        return Outcome(self.probe, answer.verdict, answer.at - self.started, answer.reason, answer.by)


class TcpAttempt(Attempt):
    """A connection per packet sent, since the kernel repeats a SYN only after a second; closed by reset."""

    def __init__(self, station: Station, probe: Probe, numbers: Numbers) -> None:
        super().__init__(station, probe, numbers)
        self._connections: list[socket.socket] = []
        self._keys: list[tuple[int, int, int]] = []
        self._connected = False

    def transmit(self) -> None:
        if self.probe.source_port:
            self.close()
        one = self.station.open(self.probe.family, socket.SOCK_STREAM)
        self._connections.append(one)
        reset_on_close(one)
        if self.probe.source_port:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("", self.probe.source_port))
        code = one.connect_ex((self.probe.address, self.probe.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        self._listen_for_errors(one)
        self.station.loop.add_writer(one, self._opened, one)

    def close(self) -> None:
        for key in self._keys:
            self.station.waiting.pop(key, None)
        self._keys.clear()
        for one in self._connections:
            self.station.loop.remove_writer(one)
            self.station.loop.remove_reader(one)
            one.close()
        self._connections.clear()

    def give_up(self) -> None:
        """A server that does not greet is open all the same."""
        self.settle(Verdict.ALLOWED if self._connected else Verdict.DENIED)

    def noticed(self, notice: icmp.Notice) -> None:
        """An ICMP error about a SYN has arrived."""
        settle_notice(self, notice)

    def received(self, packet: sctp.Packet) -> None:
        """Never: no SCTP port is waited for."""

    def _listen_for_errors(self, one: socket.socket) -> None:
        """An ICMP error that arrives while connect(2) still runs is kept from the socket until its next SYN."""
        self._keys.append((self.probe.family, socket.IPPROTO_TCP, one.getsockname()[1]))
        self.station.waiting[self._keys[-1]] = self

    def _opened(self, one: socket.socket) -> None:
        self.station.loop.remove_writer(one)
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.refused(code)
            return
        self._connected = True
        self.station.loop.add_reader(one, self._greeted, one)

    def _greeted(self, one: socket.socket) -> None:
        self.station.loop.remove_reader(one)
        try:
            greeting = one.recv(256)
        except OSError as error:
            self.refused(error.errno)
            return
        self.settle(Verdict.ALLOWED, by=greeting.decode(errors="replace").strip())


class UdpAttempt(Attempt):
    """One connected socket, so that ICMP errors come back to it."""

    def __init__(self, station: Station, probe: Probe, numbers: Numbers) -> None:
        super().__init__(station, probe, numbers)
        self._socket: socket.socket | None = None
        self._nonce = os.urandom(_NONCE)

    def transmit(self) -> None:
        if self._socket is None:
            self._socket = open_udp(self.station, self.probe, self.numbers)
            self.station.loop.add_reader(self._socket, self._arrived, self._socket)
        self._socket.send(self._nonce)

    def close(self) -> None:
        if self._socket is not None:
            self.station.loop.remove_reader(self._socket)
            self._socket.close()

    def _arrived(self, one: socket.socket) -> None:
        try:
            data = one.recv(2048)
        except BlockingIOError:
            return
        except OSError as error:
            self.refused(error.errno)
            return
        self.settle(Verdict.ALLOWED, by=data[_NONCE:].decode(errors="replace") if data[:_NONCE] == self._nonce else "")


class IcmpAttempt(Attempt):
    """Echo requests with one identifier and rising sequence numbers."""

    def __init__(self, station: Station, probe: Probe, numbers: Numbers) -> None:
        super().__init__(station, probe, numbers)
        self._identifier = numbers.take()
        self._sequence = 0
        self._key = (probe.family, icmp.PROTOCOL[probe.family], self._identifier)
        station.waiting[self._key] = self

    def transmit(self) -> None:
        self._sequence += 1
        request = icmp.echo_request(self.probe.family, self._identifier, self._sequence)
        self.station.send_icmp(self.probe.family, self.probe.address, request)

    def close(self) -> None:
        self.station.waiting.pop(self._key, None)

    def noticed(self, notice: icmp.Notice) -> None:
        """An echo reply or an error has arrived."""
        settle_notice(self, notice)

    def received(self, packet: sctp.Packet) -> None:
        """Never: no port is waited for."""


class SctpAttempt(Attempt):
    """The four-way handshake, then an abort so that connection tracking forgets it soon."""

    def __init__(self, station: Station, probe: Probe, numbers: Numbers) -> None:
        super().__init__(station, probe, numbers)
        self._port = probe.source_port or numbers.take()
        self._tag = int.from_bytes(os.urandom(4), "big") or 1
        self._peer_tag = 0
        self._by = ""
        self._key = (probe.family, sctp.PROTOCOL, self._port)
        station.waiting[self._key] = self

    def transmit(self) -> None:
        self._send(0, sctp.Chunk.INIT, sctp.init_body(self._tag))

    def close(self) -> None:
        self.station.waiting.pop(self._key, None)

    def noticed(self, notice: icmp.Notice) -> None:
        """An ICMP error about this association has arrived."""
        settle_notice(self, notice)

    def received(self, packet: sctp.Packet) -> None:
        """The next step of the handshake."""
        if packet.tag != self._tag or self.answered.done():
            return
        try:
            self._step(packet)
        except OSError as error:
            self.refused(error.errno)

    def _step(self, packet: sctp.Packet) -> None:
        if packet.chunk == sctp.Chunk.INIT_ACK:
            self._peer_tag = sctp.initiate_tag(packet.body)
            cookie = sctp.state_cookie(packet.body)
            self._by = cookie[4:].decode(errors="replace")
            self._send(self._peer_tag, sctp.Chunk.COOKIE_ECHO, cookie)
        elif packet.chunk == sctp.Chunk.COOKIE_ACK:
            self._send(self._peer_tag, sctp.Chunk.ABORT)
            self.settle(Verdict.ALLOWED, by=self._by)
        elif packet.chunk == sctp.Chunk.ABORT:
            self.settle(Verdict.REFUSED, "abort")

    def _send(self, tag: int, chunk: sctp.Chunk, body: bytes = b"") -> None:
        packet = sctp.Packet(self._port, self.probe.port, tag, chunk, body)
        self.station.send_sctp(self.probe.family, self.probe.address, packet)


def attempt(station: Station, probe: Probe, numbers: Numbers) -> Attempt:
    """A probe of the right transport, not yet sent."""
    return _ATTEMPTS[probe.transport](station, probe, numbers)


def open_udp(station: Station, probe: Probe, numbers: Numbers) -> socket.socket:
    """A socket connected to the probe's address, from a fresh port. Raises OSError."""
    one = station.open(probe.family, socket.SOCK_DGRAM)
    tell_errors(one, probe.family)
    try:
        for port in _source_ports(probe, numbers):
            if _bind(one, port):
                break
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        one.connect((probe.address, probe.port))
    except OSError:
        one.close()
        raise
    return one


def settle_notice(attempt: Attempt, notice: icmp.Notice) -> None:
    """An echo reply allows, an ICMP error refuses."""
    if notice.code is None:
        attempt.settle(Verdict.ALLOWED)
    else:
        attempt.settle(Verdict.REFUSED, f"unreachable code {notice.code}")


def _source_ports(probe: Probe, numbers: Numbers) -> Iterator[int]:
    if probe.source_port:
        yield probe.source_port
        return
    while True:
        yield numbers.take()


def _bind(one: socket.socket, port: int) -> bool:
    """Whether the port was free."""
    try:
        one.bind(("", port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


_ATTEMPTS: dict[Transport, type[Attempt]] = {
    Transport.TCP: TcpAttempt,
    Transport.UDP: UdpAttempt,
    Transport.ICMP: IcmpAttempt,
    Transport.SCTP: SctpAttempt,
}
