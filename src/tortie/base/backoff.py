"""Growing delays between attempts, with jitter from a source that is passed in."""

from __future__ import annotations

import random

import msgspec


class Backoff(msgspec.Struct):
    """Exponential delays: first, first * factor, ... up to the limit, each shortened by up to a quarter.

    Args:
        first: seconds before the second attempt.
        limit: longest delay in seconds.
        factor: growth per attempt.
        random: source of jitter, so that many nodes do not retry in step.
    """

    first: float = 0.1
    limit: float = 30.0
    factor: float = 2.0
    random: random.Random = msgspec.field(default_factory=random.Random)
    attempts: int = 0

    def next(self) -> float:
        """The delay before the next attempt, in seconds."""
        delay = min(self.limit, self.first * self.factor ** min(self.attempts, 32))
        self.attempts += 1
        return delay * (1 - self.random.random() / 4)

    def reset(self) -> None:
        """Forget the failures after a success."""
        self.attempts = 0
