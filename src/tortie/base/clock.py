"""Time as something that is passed in, so that a cluster can run under a simulated clock."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the project may know of time."""

    def now(self) -> float:
        """Seconds since the epoch, for what is stored or shown."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps, for durations."""

    async def sleep(self, seconds: float) -> None:
        """Wait; returns early only by cancellation."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
