"""Who of several processes acts: one key, renewed by its holder and taken over when it is renewed no more.

Nobody compares clocks: whoever waits measures on its own monotonic clock for how long the key has not changed, and
the holder stops acting, by its own, well before anybody else may begin.
"""

from __future__ import annotations

import asyncio

import msgspec

from tortie.base.clock import Clock
from tortie.base.errors import Conflict, OutcomeUnknown, Unavailable
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, KeyValue

LEADER_KEY = "/tortie/controllers/v1/leader"

TERM = 15.0
"""Seconds without renewal after which another process takes over."""

SAFE = 10.0
"""Seconds since its last renewal for which the holder still acts."""

RENEW = 3.0
"""Seconds between renewals."""

_log = Logger(__name__)


class Holder(msgspec.Struct, frozen=True):
    """Who leads, and how often that was renewed."""

    name: str
    renewals: int


class Leadership:
    """One process's part in it.

    Args:
        name: of this process, which no other has.
    """

    def __init__(self, datastore: Datastore, clock: Clock, name: str) -> None:
        self._datastore = datastore
        self._clock = clock
        self._name = name
        self._renewals = 0
        self._seen_revision = -1
        self._seen_since = 0.0
        self._held_revision = 0
        self._held_since = float("-inf")
        self.holder = ""
        self.began = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether this process may act now."""
        return self._held_revision > 0 and self._clock.monotonic() - self._held_since < SAFE

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.attempt()
            except Unavailable as error:
                _log.warning("leadership_unknown", reason=str(error))
            await self._clock.sleep(RENEW)

    async def attempt(self) -> None:
        """Renew, or take over when nobody renews. Raises Unavailable."""
        asked = self._clock.monotonic()
        try:
            if self._held_revision:
                await self._take(self._held_revision, asked)
            else:
                await self._look(await self._datastore.get(LEADER_KEY), asked)
        except (Conflict, OutcomeUnknown):
            # Another was faster, or it is not known whether this one was: then it waits as all others do.
            self._lose()

    async def resign(self) -> None:
        """Let the next one lead at once."""
        if self._held_revision:
            held, self._held_revision = self._held_revision, 0
            await self._datastore.delete(LEADER_KEY, held)

    async def _look(self, found: KeyValue | None, asked: float) -> None:
        if found is None:
            await self._take(0, asked)
        elif found.revision != self._seen_revision:
            self._seen_revision, self._seen_since = found.revision, asked
            self.holder = _name(found.value)
        elif asked - self._seen_since >= TERM:
            await self._take(found.revision, asked)

    async def _take(self, revision: int, asked: float) -> None:
        """Write the key as it should be; what counts is when that was asked for, not when it was answered."""
        self._renewals += 1
        value = msgspec.json.encode(Holder(self._name, self._renewals))
        if revision:
            held = await self._datastore.update(LEADER_KEY, value, revision)
        else:
            held = await self._datastore.create(LEADER_KEY, value)
        if not self._held_revision:
            _log.info("leading", name=self._name)
        self._held_revision, self._held_since, self.holder = held, asked, self._name
        self.began.set()

    def _lose(self) -> None:
        if self._held_revision:
            _log.warning("no_longer_leading", name=self._name)
        self._held_revision, self._seen_revision = 0, -1


def _name(value: bytes) -> str:
    try:
        return msgspec.json.decode(value, type=Holder).name
    except msgspec.DecodeError:
        return ""
