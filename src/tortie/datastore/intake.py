"""What sources have told and a reader has not yet taken: the newest state of each key, and no more than fits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tortie.datastore.source import StoredChange

ROOM = 10_000
"""Keys that may wait before sources are held up; each source may add one page or batch to that."""


class Intake:
    """Takes changes from many sources for one reader.

    Attributes:
        news: set whenever there may be something to take.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, StoredChange] = {}
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.news = asyncio.Event()

    def take(self, change: StoredChange) -> None:
        """What is now under a key; replaces what waits of the same key."""
        self._waiting[change.key] = change
        self.news.set()
        if len(self._waiting) >= ROOM:
            self._emptied.clear()

    def has(self, key: str) -> bool:
        """Whether news of a key waits."""
        return key in self._waiting

    def settled(self) -> None:
        """A source has told a whole listing."""
        self.news.set()

    async def room(self) -> None:
        """Wait until more may be told."""
        await self._emptied.wait()

    def taken(self) -> Sequence[StoredChange]:
        """Everything that waits, by revision, which then waits no longer."""
        waiting, self._waiting = self._waiting, {}
        self._emptied.set()
        return sorted(waiting.values(), key=lambda change: change.revision)
