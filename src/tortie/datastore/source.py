"""One prefix of a datastore, listed and then watched for ever: failures are waited out, gaps are listed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import RevisionTooOld, Unavailable
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, Listing

_SLICE = 2_000

_log = Logger(__name__)


class StoredChange(msgspec.Struct, frozen=True, gc=False):
    """A key and its newest bytes; None when it is gone."""

    key: str
    value: bytes | None
    revision: int


class PrefixSource:
    """Tells `sink` of every key of a prefix once, and then of every change.

    Args:
        sink: takes a change at once; after a gap it is told only what differs.
        settled: called whenever a listing has been told completely; `is_listed` is true from the first on.
    """

    def __init__(
        self,
        datastore: Datastore,
        prefix: str,
        clock: Clock,
        backoff: Backoff,
        sink: Callable[[StoredChange], None],
        settled: Callable[[], None],
    ) -> None:
        self._datastore = datastore
        self._prefix = prefix
        self._clock = clock
        self._backoff = backoff
        self._sink = sink
        self._settled = settled
        self._known: dict[str, int] = {}
        self._revision: int | None = None
        self.is_listed = False

    async def run(self) -> None:
        """Follow the prefix until cancelled."""
        while True:
            try:
                await self._follow()
            except RevisionTooOld as error:
                _log.info("datastore_relist", prefix=self._prefix, reason=str(error))
                self._revision = None
            except Unavailable as error:
                delay = self._backoff.next()
                _log.warning("datastore_unavailable", prefix=self._prefix, problem=str(error), retry_seconds=delay)
                await self._clock.sleep(delay)

    async def _follow(self) -> None:
        if self._revision is None:
            self._revision = await self._tell_listing(await self._datastore.list(self._prefix))
            self._backoff.reset()
        async for batch in self._datastore.watch(self._prefix, self._revision):
            for event in batch.events:
                self._tell(StoredChange(event.key, event.value, event.revision))
            self._revision = batch.revision
            self._backoff.reset()
        raise Unavailable(f"the watch of {self._prefix} ended")

    async def _tell_listing(self, listing: Listing) -> int:
        vanished = self._known.keys() - {item.key for item in listing.items}
        for position, item in enumerate(listing.items):
            if self._known.get(item.key) != item.revision:
                self._tell(StoredChange(item.key, item.value, item.revision))
            if position % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        for key in sorted(vanished):
            self._tell(StoredChange(key, None, listing.revision))
        self.is_listed = True
        self._settled()
        return listing.revision

    def _tell(self, change: StoredChange) -> None:
        if change.value is None:
            self._known.pop(change.key, None)
        else:
            self._known[change.key] = change.revision
        self._sink(change)
