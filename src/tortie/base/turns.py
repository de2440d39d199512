"""Long work in the event loop, in pieces: whoever has had its time lets others work before it goes on."""

from __future__ import annotations

import asyncio

from tortie.base.clock import Clock

SLICE_SECONDS = 0.005
"""Longest time to take the event loop for, give or take one step."""


class Turns:
    """The time of one worker. It goes on from one piece of work to the next unless others worked in between."""

    def __init__(self, clock: Clock, seconds: float = SLICE_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ends = float("-inf")

    async def pause(self) -> None:
        """Let others work if the time is over."""
        if self._clock.monotonic() > self._ends:
            await asyncio.sleep(0)
            self._ends = self._clock.monotonic() + self._seconds
