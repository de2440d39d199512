"""A netlink socket: requests with acknowledgement, dumps, and events."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Self

from tortie.base.errors import KernelError
from tortie.netlink.wire import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    attributes,
    message,
    messages,
    unpack,
)

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_BUFFER = 64 << 20
_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1
_DUMP_ATTEMPTS = 8
_CODE = struct.Struct("=i")
_LENGTH = struct.Struct("=I")


class NetlinkSocket:
    """Blocking socket, bound to the network namespace of the thread that opens it, for its whole life.

    Not safe for several threads at once.

    Args:
        timeout: seconds to wait for an answer.
        buffer: bytes that may wait to be received; more are lost (ENOBUFS).
    """

    def __init__(self, protocol: int, groups: Sequence[int] = (), timeout: float = 10.0, buffer: int = _BUFFER) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option, size in ((_SO_SNDBUFFORCE, _BUFFER), (_SO_RCVBUFFORCE, buffer)):
            self._socket.setsockopt(socket.SOL_SOCKET, option, size)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        if protocol == NETLINK_ROUTE:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        self._socket.settimeout(timeout)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; further calls fail."""
        self._socket.close()

    def fileno(self) -> int:
        """For an event loop's add_reader."""
        return self._socket.fileno()

    @property
    def port(self) -> int:
        """The kernel's number of this socket, which events carry that its requests caused."""
        number: int = self._socket.getsockname()[0]
        return number

    def next_sequence(self) -> int:
        """A fresh sequence number."""
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        return self._sequence

    def request(self, kind: int, flags: int, payload: bytes, name: str) -> list[Message]:
        """Send one request and wait for its acknowledgement; returns what came before it.

        Raises:
            KernelError: the kernel refused it; `name` says which request.
        """
        sequence = self.next_sequence()
        self.send(message(kind, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, payload))
        return list(self._until_done(sequence, name))

    def send(self, data: bytes) -> None:
        """Send packed messages as they are."""
        try:
            self._socket.send(data)
        except OSError as error:
            raise KernelError("send to netlink", error.errno or errno.EIO) from error

    def receive(self, size: int = 1 << 20) -> list[Message]:
        """One datagram of messages. Raises KernelError (ENOBUFS: events were lost, read everything again)."""
        try:
            return list(messages(self._socket.recv(size)))
        except TimeoutError as error:
            raise KernelError("receive from netlink", errno.ETIMEDOUT) from error
        except OSError as error:
            raise KernelError("receive from netlink", error.errno or errno.EIO) from error

    def set_blocking(self, blocking: bool) -> None:
        """Switch to non-blocking for use by an event loop."""
        self._socket.setblocking(blocking)

    def dump(self, kind: int, payload: bytes, name: str) -> list[Message]:
        """All objects of a kind. A dump that the kernel marks as interrupted is repeated.

        Raises:
            KernelError: refused, or interrupted too often (EINTR).
        """
        for _ in range(_DUMP_ATTEMPTS):
            sequence = self.next_sequence()
            self.send(message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload))
            answers = list(self._until_done(sequence, name, keep_done=True))
            if not any(one.flags & NLM_F_DUMP_INTR for one in answers):
                return answers[:-1]
        raise KernelError(name, errno.EINTR, "the dump was interrupted every time")

    def _until_done(self, sequence: int, name: str, *, keep_done: bool = False) -> Iterator[Message]:
        while True:
            for one in self.receive():
                if one.sequence != sequence:
                    continue
                if one.type == NLMSG_ERROR:
                    raise_on_error(one, name)
                    return
                if one.type == NLMSG_DONE:
                    code = _CODE.unpack_from(one.payload)[0] if len(one.payload) >= 4 else 0
                    if code:
                        raise KernelError(name, -code)
                    if keep_done:
                        yield one
                    return
                yield one


def raise_on_error(answer: Message, name: str) -> None:
    """Turn an error message into KernelError; an error of 0 is an acknowledgement."""
    code = unpack(_CODE, answer.payload)[0]
    if code:
        # The lowest of all codes has no positive counterpart that fits.
        raise KernelError(name, min(-code, 2**31 - 1), _extended_message(answer))


def _extended_message(answer: Message) -> str:
    if not answer.flags & _NLM_F_ACK_TLVS:
        return ""
    offset = 20 if answer.flags & _CAPPED else 4 + unpack(_LENGTH, answer.payload, 4)[0]
    return attributes(answer.payload, offset).get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
