"""Others get their turn when the time of one is over, and not before."""

from __future__ import annotations

import asyncio

from tortie.base.clock import Clock
from tortie.base.turns import Turns


class SetClock(Clock):
    """Stands still until it is set."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


async def test_others_work_whenever_the_time_is_over_whoever_asks() -> None:
    clock, worked = SetClock(), 0
    turns = Turns(clock, seconds=1.0)

    async def others() -> None:
        nonlocal worked
        while True:
            worked += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await turns.pause()
    before = worked
    for _ in range(10):
        await turns.pause()
    assert worked == before
    clock.time = 1.5
    await turns.pause()
    assert worked == before + 1
    await turns.pause()
    assert worked == before + 1
    task.cancel()
