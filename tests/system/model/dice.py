"""Chance, with the words for what is drawn by it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any


class Dice(random.Random):
    """Dice, not strategies: those make so much of equal parts that few examples have rules that matter."""

    def some(self, values: Sequence[Any], most: int, least: int = 1) -> tuple[Any, ...]:
        """A few different values."""
        return tuple(dict.fromkeys(self.choices(values, k=self.randint(least, most))))

    def happens(self, chance: float) -> bool:
        """Whether something does that has this chance."""
        return self.random() < chance

    def several(self, draw: Callable[[Dice], Any], most: int, least: int = 0) -> tuple[Any, ...]:
        """What is drawn again and again."""
        return tuple(draw(self) for _ in range(self.randint(least, most)))
