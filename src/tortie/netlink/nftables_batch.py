"""Committing nf_tables requests as one transaction, and the generation of the rule set.

Either every request of a batch takes effect at once, or none does. Every commit in the network
namespace, by whomever, makes a new generation.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from tortie.base.errors import KernelError
from tortie.netlink.batch import Request
from tortie.netlink.nftables import GETGEN
from tortie.netlink.socket import NetlinkSocket, raise_on_error
from tortie.netlink.wire import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, TruncatedMessage, attributes, be32, message

_BEGIN = 16
_END = 17
_GENERATION_ID = 1
_HEADER = struct.pack(">BBH", 0, 0, 10)
_STALE = errno.ERESTART


def generation(socket: NetlinkSocket) -> int:
    """The current generation. Raises KernelError."""
    answers = socket.request(GETGEN, 0, struct.pack("=BBH", 0, 0, 0), "get nftables generation")
    if not answers:
        raise KernelError("get nftables generation", errno.ENODATA)
    return generation_id(answers[0].payload)


def generation_id(payload: bytes) -> int:
    """The generation that a NEWGEN message announces. Raises TruncatedMessage."""
    found = attributes(payload, 4).get(_GENERATION_ID, b"")
    if len(found) != 4:
        raise TruncatedMessage("no generation id")
    return int.from_bytes(found, "big")


def next_generation(current: int) -> int:
    """The generation that a commit on this one makes."""
    return (current + 1) & 0xFFFFFFFF or 1


def commit(socket: NetlinkSocket, requests: Sequence[Request], expected: int | None = None) -> None:
    """Commit requests as one transaction.

    Args:
        expected: the generation on which the requests are based; None is any.

    Raises:
        KernelError: names the request that was refused, and nothing was changed. ERESTART (see `is_stale`): the
            generation is not the expected one.
    """
    if not requests:
        return
    first = socket.next_sequence()
    sequences = [socket.next_sequence() for _ in requests]
    socket.send(_packed(first, sequences, requests, expected))
    names = dict(zip(sequences, (one.name for one in requests), strict=True))
    _await_answer(socket, first, sequences[-1], {first: "commit nftables batch", **names})


def is_stale(error: KernelError) -> bool:
    """Whether a commit was refused because someone else had committed in between."""
    return error.errno == _STALE


def _packed(first: int, sequences: list[int], requests: Sequence[Request], expected: int | None) -> bytes:
    lock = b"" if expected is None else be32(_GENERATION_ID, expected)
    parts = [message(_BEGIN, NLM_F_REQUEST, first, _HEADER + lock)]
    last = sequences[-1]
    parts += (
        message(one.kind, one.flags | NLM_F_REQUEST | (NLM_F_ACK if sequence == last else 0), sequence, one.payload)
        for sequence, one in zip(sequences, requests, strict=True)
    )
    parts.append(message(_END, NLM_F_REQUEST, 0, _HEADER))
    return b"".join(parts)


def _await_answer(socket: NetlinkSocket, first: int, last: int, names: dict[int, str]) -> None:
    """Read until the last request is acknowledged; a refusal of the whole batch bears the first number."""
    refused: KernelError | None = None
    while True:
        for answer in socket.receive():
            if answer.type != NLMSG_ERROR or answer.sequence not in names:
                continue
            try:
                raise_on_error(answer, names[answer.sequence])
            except KernelError as error:
                refused = refused or error
            if answer.sequence == last or (answer.sequence == first and refused):
                if refused:
                    raise refused
                return
