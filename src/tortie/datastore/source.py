"""One prefix of a datastore, listed and then watched for ever: failures are waited out, gaps are listed again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Protocol

import msgspec

from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import HistoryBroken, RevisionTooOld, Unavailable
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, Listing
from tortie.datastore.outage import Outage

_SLICE = 2_000
_CALM_SECONDS = 60.0
"""After so long without a failure, the delays begin small again."""

_UNTRUSTED = -1
"""The revision of a key that is known to exist, at a revision that means nothing any more."""

_log = Logger(__name__)


class StoredChange(msgspec.Struct, frozen=True, gc=False):
    """A key and its newest bytes; None when it is gone."""

    key: str
    value: bytes | None
    revision: int


class Sink(Protocol):
    """Who is told."""

    def take(self, change: StoredChange) -> None:
        """A change, at once; after a gap only what differs."""

    def settled(self) -> None:
        """A listing has been told completely."""

    async def room(self) -> None:
        """Returns when more may be told."""


class PrefixSource:
    """Tells `sink` of every key of a prefix once, and then of every change.

    A listing is told page by page. That a key is gone is told only when a listing has come to its end.

    Args:
        outage: is told when the datastore does not answer, and when it does again.

    Attributes:
        is_listed: whether a listing has been told completely since the beginning, or since history broke.
        listings: how many have been told completely.
        breaks: how often history turned out to be another.
    """

    def __init__(
        self, datastore: Datastore, prefix: str, clock: Clock, backoff: Backoff, sink: Sink, outage: Outage
    ) -> None:
        self._datastore = datastore
        self._prefix = prefix
        self._clock = clock
        self._backoff = backoff
        self._sink = sink
        self._outage = outage
        self._known: dict[str, int] = {}
        self._revision: int | None = None
        self._retried = clock.monotonic()
        self.is_listed = False
        self.listings = 0
        self.breaks = 0

    async def run(self) -> None:
        """Follow the prefix until cancelled."""
        while True:
            try:
                await self._follow()
            except HistoryBroken as error:
                _log.error("datastore_history_broken", prefix=self._prefix, problem=str(error))
                self.breaks += 1
                self.distrust()
                await self._wait()
            except RevisionTooOld as error:
                _log.info("datastore_relist", prefix=self._prefix, reason=str(error))
                self._revision = None
                await self._wait()
            except Unavailable as error:
                self._outage.failed(self._prefix, str(error))
                await self._wait()

    def distrust(self) -> None:
        """What is known may be of another history: tell it again, whatever its revision."""
        self._known = dict.fromkeys(self._known, _UNTRUSTED)
        self._revision = None
        self.is_listed = False

    async def _wait(self) -> None:
        if self._clock.monotonic() - self._retried > _CALM_SECONDS:
            self._backoff.reset()
        await self._clock.sleep(self._backoff.next())
        self._retried = self._clock.monotonic()

    async def _follow(self) -> None:
        if self._revision is None:
            self._revision = await self._tell_listing()
        elif self._outage.has(self._prefix):
            # A watch of what never changes would not tell that the datastore is back.
            await self._datastore.get(self._prefix)
        self._outage.answered(self._prefix)
        async with aclosing(self._datastore.watch(self._prefix, self._revision)) as batches:
            async for batch in batches:
                for event in batch.events:
                    self._tell(StoredChange(event.key, event.value, event.revision))
                self._revision = batch.revision
                self._backoff.reset()
                await self._sink.room()
        raise Unavailable(f"the watch of {self._prefix} ended")

    async def _tell_listing(self) -> int:
        """Tell what differs from what is known; returns the revision of the listing."""
        vanished, revision = set(self._known), 0
        async with aclosing(self._datastore.pages(self._prefix)) as pages:
            async for page in pages:
                await self._tell_page(page)
                vanished.difference_update(item.key for item in page.items)
                revision = page.revision
                await self._sink.room()
        for key in sorted(vanished):
            self._tell(StoredChange(key, None, revision))
        self.is_listed = True
        self.listings += 1
        self._sink.settled()
        return revision

    async def _tell_page(self, page: Listing) -> None:
        for position, item in enumerate(page.items):
            if self._known.get(item.key) != item.revision:
                self._tell(StoredChange(item.key, item.value, item.revision))
            if position % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)

    def _tell(self, change: StoredChange) -> None:
        if change.value is None:
            self._known.pop(change.key, None)
        else:
            self._known[change.key] = change.revision
        self._sink.take(change)
