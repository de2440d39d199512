"""Dumps that the kernel interrupts or cuts short, and batches with refusals, on a scripted socket."""

from __future__ import annotations

import errno
import struct

import pytest

from tortie.base.errors import KernelError
from tortie.netlink import wire
from tortie.netlink.batch import Request, execute, send_batch
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage


class Scripted(NetlinkSocket):
    """Answers each send with the next datagrams of a script; sequence numbers in it count from the send's first."""

    def __init__(self, *script: list[Message | bytes]) -> None:
        super().__init__(NETLINK_ROUTE)
        self.script = list(script)
        self.sent: list[list[Message]] = []
        self._queue: list[Message | bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(list(wire.messages(data)))
        self._queue += self.script.pop(0)

    def receive(self, size: int = 1 << 20) -> list[Message]:
        if not self._queue:
            raise KernelError("receive from netlink", errno.ETIMEDOUT)
        answer = self._queue.pop(0)
        if isinstance(answer, bytes):
            return list(wire.messages(answer))
        first = self.sent[-1][0].sequence
        return [Message(answer.type, answer.flags, first + answer.sequence, answer.payload)]


def item(text: bytes, flags: int = 0) -> Message:
    return Message(24, flags, 0, text)


def done(flags: int = 0) -> Message:
    return Message(wire.NLMSG_DONE, flags, 0, bytes(4))


def answer(position: int, code: int) -> Message:
    return Message(wire.NLMSG_ERROR, 0, position, struct.pack("=i", -code) + bytes(16))


REQUESTS = [Request(24, 0, b"", f"request {number}") for number in range(3)]


def test_an_interrupted_dump_is_repeated() -> None:
    with Scripted([item(b"half", wire.NLM_F_DUMP_INTR), done()], [item(b"whole"), done()]) as socket:
        assert [one.payload for one in socket.dump(26, b"", "list")] == [b"whole"]


def test_a_dump_whose_end_alone_says_interrupted_is_repeated() -> None:
    with Scripted([item(b"half"), done(wire.NLM_F_DUMP_INTR)], [item(b"whole"), done()]) as socket:
        assert [one.payload for one in socket.dump(26, b"", "list")] == [b"whole"]


def test_a_dump_that_is_always_interrupted_is_given_up() -> None:
    with Scripted(*([[done(wire.NLM_F_DUMP_INTR)]] * 8)) as socket, pytest.raises(KernelError) as refusal:
        socket.dump(26, b"", "list")
    assert refusal.value.errno == errno.EINTR


def test_a_dump_cut_short_is_an_error_and_not_a_shorter_list() -> None:
    cut = wire.message(24, 0, 1, bytes(64))[:40]
    with Scripted([cut]) as socket, pytest.raises(TruncatedMessage):
        socket.dump(26, b"", "list")


def test_a_dump_without_an_end_is_an_error_and_not_a_shorter_list() -> None:
    with Scripted([item(b"one")]) as socket, pytest.raises(KernelError) as refusal:
        socket.dump(26, b"", "list")
    assert refusal.value.errno == errno.ETIMEDOUT


def test_only_the_last_of_a_batch_asks_for_an_acknowledgement() -> None:
    with Scripted([answer(2, 0)]) as socket:
        assert send_batch(socket, REQUESTS) == [None, None, None]
        assert [bool(one.flags & wire.NLM_F_ACK) for one in socket.sent[0]] == [False, False, True]


def test_refusals_go_to_the_requests_that_were_refused() -> None:
    with Scripted([answer(1, errno.EEXIST), answer(2, errno.ENODEV)]) as socket:
        first, second, third = send_batch(socket, REQUESTS)
    assert first is None
    assert second is not None and (second.errno, second.request) == (errno.EEXIST, "request 1")
    assert third is not None and (third.errno, third.request) == (errno.ENODEV, "request 2")


def test_execute_raises_the_first_refusal() -> None:
    with Scripted([answer(1, errno.EEXIST), answer(2, 0)]) as socket, pytest.raises(KernelError, match="request 1"):
        execute(socket, *REQUESTS)


def test_answers_to_earlier_requests_are_passed_over() -> None:
    stale = wire.message(wire.NLMSG_ERROR, 0, 999_999, struct.pack("=i", -errno.EPERM) + bytes(16))
    with Scripted([stale, answer(2, 0)]) as socket:
        assert send_batch(socket, REQUESTS) == [None, None, None]


def test_an_unanswered_batch_is_an_error() -> None:
    with Scripted([answer(0, errno.EEXIST)]) as socket, pytest.raises(KernelError) as refusal:
        send_batch(socket, REQUESTS)
    assert refusal.value.errno == errno.ETIMEDOUT
