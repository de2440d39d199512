"""A kernel that refuses, forgets to answer, loses events and cuts dumps short: what is there is always one whole state,
and in the end the right one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.errors import KernelError, TortieError
from tortie.dataplane.nftables import connection
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import nftables_events
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import Message

pytestmark = pytest.mark.kernel
States = Callable[[], st.SearchStrategy[DesiredState]]
ERRORS = (errno.ENOBUFS, errno.ENOMEM, errno.EINTR, errno.EPERM, errno.ETIMEDOUT)
MOST_FAULTS = 40


class Faults:
    """When something goes wrong next, and how often it did."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.count = 0

    def strike(self) -> bool:
        """Whether it is now."""
        struck = self.count < MOST_FAULTS and self._random.random() < 0.08
        self.count += struck
        return struck

    def error(self) -> KernelError:
        return KernelError("injected", self._random.choice(ERRORS))

    def cut(self, answers: list[Message]) -> list[Message]:
        """The answers with the last of them cut short, or without it."""
        *whole, last = answers
        length = self._random.randrange(len(last.payload) + 1)
        return [*whole, msgspec.structs.replace(last, payload=last.payload[:length])]


class FaultySocket(NetlinkSocket):
    """A socket over which requests are not sent, answers not heard, or heard in part."""

    faults: ClassVar[Faults]

    def __init__(self, protocol: int, groups: Sequence[int] = ()) -> None:
        super().__init__(protocol, groups, timeout=0.2)

    def send(self, data: bytes) -> None:
        if self.faults.strike():
            raise self.faults.error()
        super().send(data)

    def receive(self, size: int = 1 << 20) -> list[Message]:
        if self.faults.strike():
            # What the kernel said is lost, whether it did what it was asked to or not.
            super().receive(size)
            raise self.faults.error()
        answers = super().receive(size)
        return self.faults.cut(answers) if answers and self.faults.strike() else answers


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultySocket]]:
    for module in (connection, nftables_events):
        monkeypatch.setattr(module, "NetlinkSocket", FaultySocket)
    yield FaultySocket


def is_in_kernel(*states: DesiredState) -> bool:
    """Whether the table is just what one of these makes of it."""
    FaultySocket.faults.count, before = MOST_FAULTS, FaultySocket.faults.count
    own = NftablesTarget()
    try:
        actual = own.read()
        return any(not own.plan(state, actual, None).operations for state in states)
    finally:
        own.connection.close()
        FaultySocket.faults.count = before


@settings(max_examples=settings.default.max_examples // 5)
@given(st.data())
def test_what_is_in_the_kernel_is_always_one_whole_state_and_in_the_end_the_right_one(
    faulty: type[FaultySocket], random_states: States, data: st.DataObject
) -> None:
    faulty.faults = Faults(data.draw(st.integers(0, 2**32)))
    target = NftablesTarget()
    descriptor = anonymous_namespace()
    with inside(descriptor):
        bring(target, DesiredState(), None)
        known = DesiredState()
        for _ in range(3):
            wanted = data.draw(random_states())
            bring(target, wanted, known)
            assert is_in_kernel(wanted)
            known = wanted
        target.connection.close()
    os.close(descriptor)


def bring(target: NftablesTarget, wanted: DesiredState, known: DesiredState | None) -> None:
    """As the loop does: by what changed and, where that fails, again and again from what is read anew."""
    changes = changed(known, wanted) if known else None
    while True:
        try:
            actual = target.read()
            plan = target.plan(wanted, actual, changes)
            if plan.operations:
                target.apply(plan.operations)
            target.applied(actual, plan)
            return
        except TortieError:
            changes = None
            assert known is None or is_in_kernel(known, wanted)


def changed(old: DesiredState, new: DesiredState) -> Changes:
    """Everything that is in either."""
    return Changes(
        sets=set(old.sets) | set(new.sets),
        policies=set(old.policies) | set(new.policies),
        endpoints=set(old.endpoints) | set(new.endpoints),
        host_endpoints=set(old.host_endpoints) | set(new.host_endpoints),
        network=old.network != new.network,
    )
