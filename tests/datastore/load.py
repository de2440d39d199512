"""Writers that keep every outcome, and watchers that keep all they are told (used by the trials of a cluster)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing

import msgspec

from tortie.base.backoff import Backoff
from tortie.base.clock import SystemClock
from tortie.base.errors import Conflict, RevisionTooOld, StaleRevision, Unavailable
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.outage import Outage
from tortie.datastore.source import PrefixSource, StoredChange

ROOT = "/t/"
DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"
_SLOTS = 16


class Attempt(msgspec.Struct):
    """One write: what came of it, at which revision, or which revision was in its way."""

    key: str
    value: bytes | None
    shared: bool
    outcome: str = UNKNOWN
    revision: int = 0
    found: int = 0


class Writer:
    """Creates, updates and deletes keys of its own, raises a counter that all share, and claims slots in a block.

    Args:
        name: of the writer; every value that it writes holds it and a number, so that no two are equal.
    """

    def __init__(self, store: Datastore, name: str, dice: random.Random) -> None:
        self._store = store
        self._name = name
        self._dice = dice
        self._number = 0
        self.attempts: list[Attempt] = []
        self.done = 0

    async def run(self) -> None:
        """Write until cancelled."""
        deeds: Sequence[Callable[[], object]] = (self._write_own, self._count, self._claim)
        while True:
            try:
                await self._dice.choice(deeds)()  # type: ignore[misc]
            except Unavailable:
                await asyncio.sleep(0.02)
            await asyncio.sleep(self._dice.uniform(0, 0.02))

    async def _write_own(self) -> None:
        key = f"{ROOT}own/{self._name}/{self._dice.randrange(4)}"
        stored = await self._store.get(key)
        value = self._unique() if stored is None or self._dice.random() < 0.7 else None
        await self._attempt(Attempt(key, value, shared=False), stored)

    async def _count(self) -> None:
        key = f"{ROOT}counter/{self._dice.randrange(2)}"
        stored = await self._store.get(key)
        count = int(stored.value.split()[0]) if stored else 0
        await self._attempt(Attempt(key, b"%d %s" % (count + 1, self._unique()), shared=True), stored)

    async def _claim(self) -> None:
        key = f"{ROOT}block/{self._dice.randrange(2)}"
        stored = await self._store.get(key)
        slots = json.loads(stored.value)["slots"] if stored else [None] * _SLOTS
        mine = [index for index, owner in enumerate(slots) if owner == self._name]
        free = [index for index, owner in enumerate(slots) if owner is None]
        if free and len(mine) < 2:
            slots[self._dice.choice(free)] = self._name
        elif mine:
            slots[self._dice.choice(mine)] = None
        else:
            return
        value = json.dumps({"slots": slots, "by": self._unique().decode()}).encode()
        await self._attempt(Attempt(key, value, shared=True), stored)

    async def _attempt(self, attempt: Attempt, stored: KeyValue | None) -> None:
        self.attempts.append(attempt)
        try:
            attempt.revision = await self._write(attempt, stored)
        except StaleRevision as error:
            attempt.outcome, attempt.found = REFUSED, error.actual
        except Conflict:
            attempt.outcome = REFUSED
        else:
            attempt.outcome = DONE
            self.done += 1

    async def _write(self, attempt: Attempt, stored: KeyValue | None) -> int:
        if stored is None:
            return await self._store.create(attempt.key, attempt.value or b"")
        if attempt.value is None:
            return await self._store.delete(attempt.key, stored.revision)
        return await self._store.update(attempt.key, attempt.value, stored.revision)

    def _unique(self) -> bytes:
        self._number += 1
        return f"{self._name}.{self._number}".encode()


class Watcher:
    """A watch that is resumed by hand: every revision it was told, and the gaps where it had to list."""

    def __init__(self, store: Datastore, revision: int) -> None:
        self._store = store
        self.start = self.revision = revision
        self.told: list[tuple[int, str, bytes | None]] = []
        self.gaps: list[tuple[int, int]] = []
        self.losses = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._follow()
            except RevisionTooOld:
                await self._list()
            except Unavailable:
                self.losses += 1
                await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        async with aclosing(self._store.watch(ROOT, self.revision)) as watch:  # type: ignore[type-var]
            async for batch in watch:
                self.told += [(event.revision, event.key, event.value) for event in batch.events]
                self.revision = batch.revision

    async def _list(self) -> None:
        try:
            listing = await self._store.list(ROOT)
        except Unavailable:
            return
        self.gaps.append((self.revision, listing.revision))
        self.revision = listing.revision


class Viewer:
    """What a reader believes who stands on a `PrefixSource`, and what it was told against the promise."""

    def __init__(self, store: Datastore) -> None:
        self.view: dict[str, tuple[bytes, int]] = {}
        self.complaints: list[str] = []
        self._newest: dict[str, int] = {}
        backoff = Backoff(first=0.05, limit=0.2)
        self._source = PrefixSource(store, ROOT, SystemClock(), backoff, self, Outage(SystemClock()))

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._source.run()

    def settled(self) -> None:
        """Nothing depends on it."""

    async def room(self) -> None:
        """At once."""

    def take(self, change: StoredChange) -> None:
        if change.revision <= self._newest.get(change.key, 0):
            self.complaints.append(f"told of {change.key} at {change.revision} after {self._newest[change.key]}")
        self._newest[change.key] = change.revision
        if change.value is None:
            self.view.pop(change.key, None)
        else:
            self.view[change.key] = change.value, change.revision
