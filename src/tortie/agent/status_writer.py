"""Keeps what others read of this node's endpoints at what is so: in few writes, for which nobody waits."""

from __future__ import annotations

from asyncio import Event
from collections.abc import Mapping
from typing import Protocol

import msgspec
import structlog

from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import TortieError

RETRY_FIRST, RETRY_LIMIT = 0.5, 10.0
"""Seconds between attempts while a place cannot be written."""


class Statuses(Protocol):
    """A place where statuses are kept, by name. All calls raise TortieError for what may be otherwise later."""

    async def read(self) -> Mapping[str, bytes]:
        """All of this node that are there."""

    async def put(self, name: str, value: bytes) -> None:
        """Write one, whatever was there."""

    async def remove(self, name: str) -> None:
        """Take one away; absence is no error."""


class _Wish(msgspec.Struct, frozen=True, gc=False):
    """What may be under a name; `is_to_be` says that it must."""

    value: bytes
    is_to_be: bool


class StatusWriter:
    """Brings one place to what is wanted, in a task of its own.

    Changes within the delay become one write, and none when the place holds the value already. After a failure, and
    when asked to `look`, the place is read again, and what nobody wants there is removed.

    Args:
        name: of the place, for logs and people.
        delay: seconds from the first change to its write.
    """

    def __init__(self, name: str, statuses: Statuses, clock: Clock, delay: float) -> None:
        self.problem = ""
        self._name = name
        self._statuses = statuses
        self._clock = clock
        self._delay = delay
        self._backoff = Backoff(RETRY_FIRST, RETRY_LIMIT)
        self._log = structlog.get_logger("tortie.statuses", place=name)
        self._wanted: dict[str, _Wish] = {}
        self._stored: dict[str, bytes] = {}
        self._is_stored_known = False
        # A dict for its order: what changed first is written first.
        self._changed: dict[str, None] = {}
        self._wake = Event()

    def want(self, name: str, value: bytes) -> None:
        """This is to be there."""
        self._wanted[name] = _Wish(value, is_to_be=True)
        self._mark(name)

    def keep(self, name: str, value: bytes) -> None:
        """This stays if it is there; anything else does not."""
        self._wanted[name] = _Wish(value, is_to_be=False)
        self._mark(name)

    def forget(self, name: str) -> None:
        """Nothing is to be there."""
        self._wanted.pop(name, None)
        self._mark(name)

    def look(self) -> None:
        """What is there may be otherwise than it was left."""
        self._is_stored_known = False
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            await self._clock.sleep(self._delay)
            self._wake.clear()
            try:
                await self._write()
            except TortieError as error:
                await self._clock.sleep(self._failed(error))
                self._wake.set()
            else:
                self._succeeded()

    def _mark(self, name: str) -> None:
        self._changed[name] = None
        self._wake.set()

    async def _write(self) -> None:
        if not self._is_stored_known:
            # Set before reading: who asks to look meanwhile is not forgotten.
            self._is_stored_known = True
            self._stored = dict(await self._statuses.read())
            self._changed |= dict.fromkeys((*self._wanted, *self._stored))
        # What changes from here on waits for the next round: what flaps is not written as fast as the place takes it.
        changed, self._changed = self._changed, {}
        for name in changed:
            await self._settle(name)

    async def _settle(self, name: str) -> None:
        wish, stored = self._wanted.get(name), self._stored.get(name)
        if wish is not None and stored == wish.value:
            return
        if wish is not None and wish.is_to_be:
            await self._statuses.put(name, wish.value)
            self._stored[name] = wish.value
        elif stored is not None:
            await self._statuses.remove(name)
            del self._stored[name]

    def _failed(self, error: TortieError) -> float:
        """Seconds to wait. Whether the write was carried out is unknown, so the place is read again."""
        if not self.problem:
            self._log.warning("statuses_not_written", reason=str(error))
        self.problem = f"{self._name} cannot be written: {error}"
        self._is_stored_known = False
        return self._backoff.next()

    def _succeeded(self) -> None:
        if self.problem:
            self._log.info("statuses_written_again")
        self.problem = ""
        self._backoff.reset()
