"""Signs of life: what they say, how often, and that a datastore that is away costs nothing but them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tortie.agent.heartbeat import Heartbeat, Host, Pace
from tortie.base.errors import Unavailable
from tortie.datastore.statuskeys import LastReportKey, Liveness, LivenessKey, decode_liveness, status_key

LIVES = status_key(LivenessKey("east", "n1"))
LAST = status_key(LastReportKey("east", "n1"))


class Clock:
    """Time stands still until the test takes a waiter on."""

    def __init__(self) -> None:
        self.time = 61.25
        self.waits: asyncio.Queue[float] = asyncio.Queue()
        self._go: asyncio.Queue[None] = asyncio.Queue()

    def now(self) -> float:
        return 1787475600.0 + self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.put_nowait(seconds)
        await self._go.get()

    async def turn(self, seconds: float = 30.0) -> float:
        """Let time pass for the waiter, and say how long it wants to wait next."""
        self.time += seconds
        self._go.put_nowait(None)
        return await self.waits.get()


class Datastore:
    """Notes what is put, and fails while there is a reason."""

    def __init__(self) -> None:
        self.puts: list[tuple[str, bytes, int]] = []
        self.failure = ""

    async def put(self, key: str, value: bytes, lifetime: int = 0) -> int:
        if self.failure:
            raise Unavailable(self.failure)
        self.puts.append((key, value, lifetime))
        return 1

    def said(self) -> Liveness:
        """What both keys were told, since asked last."""
        (lives, value, lifetime), (last, same, forever) = self.puts
        self.puts = []
        assert (lives, lifetime, last, forever) == (LIVES, 90, LAST, 0)
        assert value == same
        return decode_liveness(value)


class Rig:
    """A heart that beats."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.datastore = Datastore()
        self.refusal = ""
        datastore: Any = self.datastore
        self.heart = Heartbeat(Host("east", "n1"), Pace(30, 90), datastore, self.clock, lambda: self.refusal)
        self.beating: asyncio.Task[None] | None = None

    async def begin(self) -> float:
        """Let it beat; how long it wants to wait after the first time."""
        self.beating = asyncio.create_task(self.heart.run())
        return await self.clock.waits.get()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    one = Rig()
    yield one
    assert one.beating is not None
    one.beating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one.beating


async def test_the_first_sign_is_given_at_once_and_says_that_it_is_the_first(rig: Rig) -> None:
    assert 20 < await rig.begin() <= 30
    assert rig.datastore.said() == Liveness("2026-08-23T09:01:01Z", 0.0, True)
    assert 20 < await rig.clock.turn(30.5) <= 30
    assert rig.datastore.said() == Liveness("2026-08-23T09:01:31Z", 30.5, False)


async def test_a_datastore_that_is_away_is_tried_sooner_and_the_first_success_is_the_first_sign(rig: Rig) -> None:
    rig.datastore.failure = "nobody answers"
    assert await rig.begin() < 1
    assert rig.heart.problem == "that this host lives cannot be written: nobody answers"
    waits = [await rig.clock.turn() for _ in range(9)]
    assert 20 < max(waits) <= 30
    rig.datastore.failure = ""
    await rig.clock.turn()
    assert rig.datastore.said().first_update
    assert rig.heart.problem == ""


async def test_a_datastore_that_may_not_be_written_is_not(rig: Rig) -> None:
    await rig.begin()
    rig.datastore.puts.clear()
    rig.refusal = "locked"
    await rig.clock.turn()
    assert rig.datastore.puts == []
    assert "locked" in rig.heart.problem
    rig.refusal = ""
    await rig.clock.turn()
    assert not rig.datastore.said().first_update
