"""Requests as data, and sending many of them at the cost of one acknowledgement (RFC 3549)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.base.errors import KernelError
from tortie.netlink.socket import NetlinkSocket, raise_on_error
from tortie.netlink.wire import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, message

CHUNK = 1000
"""Requests in one send: the fastest size measured; more only makes the kernel hold its lock longer."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request to the kernel.

    Args:
        kind: message type, such as RTM_NEWROUTE.
        flags: beyond NLM_F_REQUEST.
        verb: what it does, in words.
        subject: to what; made text only when the kernel refuses.
    """

    kind: int
    flags: int
    payload: bytes
    verb: str
    subject: object = ""

    @property
    def name(self) -> str:
        """The request in words, for errors."""
        return f"{self.verb} {self.subject}".rstrip()


def send_batch(socket: NetlinkSocket, requests: Sequence[Request]) -> list[KernelError | None]:
    """Carry out requests in order; a refused one does not stop those after it.

    Returns:
        One entry per request: None, or why the kernel refused it.

    Raises:
        KernelError: the socket failed (no answer in time, answers lost); the outcome is unknown.
    """
    results: list[KernelError | None] = []
    for start in range(0, len(requests), CHUNK):
        results += _send_chunk(socket, requests[start : start + CHUNK])
    return results


def execute(socket: NetlinkSocket, *requests: Request) -> None:
    """Carry out requests in order. Raises the first KernelError after all were tried."""
    for error in send_batch(socket, requests):
        if error is not None:
            raise error


def _send_chunk(socket: NetlinkSocket, requests: Sequence[Request]) -> list[KernelError | None]:
    """Only the last request asks for an acknowledgement: refusals of earlier ones come before it."""
    sequences = [socket.next_sequence() for _ in requests]
    last = sequences[-1]
    socket.send(
        b"".join(
            message(one.kind, one.flags | NLM_F_REQUEST | (NLM_F_ACK if sequence == last else 0), sequence, one.payload)
            for sequence, one in zip(sequences, requests, strict=True)
        )
    )
    positions = {sequence: position for position, sequence in enumerate(sequences)}
    results: list[KernelError | None] = [None] * len(requests)
    answered = False
    while not answered:
        for answer in socket.receive():
            if answer.type != NLMSG_ERROR or answer.sequence not in positions:
                continue
            position = positions[answer.sequence]
            try:
                raise_on_error(answer, requests[position].name)
            except KernelError as error:
                results[position] = error
            answered = answered or answer.sequence == last
    return results
