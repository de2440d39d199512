"""What the kernel tells of changes: those of others are drift, and so is whatever could not be heard."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from tortie.agent.dataplane import _hear
from tortie.base.errors import KernelError
from tortie.netlink.wire import Message, TruncatedMessage

OURS, THEIRS = Message(1, 0, 0, b""), Message(2, 0, 0, b"")


class Events:
    """A socket on which this comes."""

    def __init__(self, what: Any) -> None:
        self._what = what

    def receive(self) -> list[Message]:
        if isinstance(self._what, Exception):
            raise self._what
        found: list[Message] = self._what
        return found


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ([OURS], 0),
        ([OURS, THEIRS], 1),
        (KernelError("receive", errno.EAGAIN), 0),
        (KernelError("receive", errno.ENOBUFS), 1),
        (TruncatedMessage("cut"), 1),
    ],
)
def test_changes_of_others_are_drift_and_what_is_lost_may_have_been(what: Any, told: int) -> None:
    drifts: list[bool] = []
    events: Any = Events(what)
    _hear(events, lambda message: message is THEIRS, lambda: drifts.append(True))
    assert len(drifts) == told


def test_an_event_that_cannot_be_read_may_have_been_drift() -> None:
    def unreadable(_: Message) -> bool:
        raise TruncatedMessage("cut")

    drifts: list[bool] = []
    events: Any = Events([OURS])
    _hear(events, unreadable, lambda: drifts.append(True))
    assert drifts
