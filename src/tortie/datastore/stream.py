"""Many kinds of stored objects as one stream of typed changes, with a mark where all of them have been listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from tortie.api.builtin import ALLOW_PROFILE
from tortie.api.resource import ResourceKey
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import InvalidResource
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore
from tortie.datastore.intake import Intake
from tortie.datastore.keys import parse_key, stream_prefixes
from tortie.datastore.outage import Outage
from tortie.datastore.source import PrefixSource, StoredChange
from tortie.datastore.values import StoredValue, decode_stored

BATCH_CHANGES = 500
"""Most changes in one batch, so that a reader can do other things in between."""

_log = Logger(__name__)


def as_it_is(change: StoredChange) -> StoredChange:
    """What is stored is what is told."""
    return change


Decode = Callable[[ResourceKey, bytes, int], StoredValue]


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is now under a key; None when nothing is, or nothing that can be read."""

    key: ResourceKey
    value: StoredValue | None


class StreamBatch(msgspec.Struct, frozen=True, gc=False):
    """Changes by revision, at most one a key.

    `in_sync` once every kind has been told completely, and from then on; but when the datastore turns out to be
    another than before, or set back, not before every kind has been told of it again.
    """

    changes: Sequence[Change]
    in_sync: bool


class ResourceStream:
    """Lists and then watches kinds, through failures and compactions, for one reader.

    A reader that is slow gets the newest state of a key, not each state in between. Changes of one
    key come in order; changes of several kinds are in the order of their revisions within a batch.

    Args:
        kinds: names of resource kinds, or IPAMBlock, BlockAffinity, IPAMHandle, IPAMConfig.
        clock: paces retries.
        decode: from key, bytes and revision to the object; raises InvalidResource.
        backoff: makes the delays of one prefix's retries.
        prefixes: where to look instead of everywhere that objects of the kinds are stored.
        stand_in: what is told in the place of what is stored.
    """

    def __init__(
        self,
        datastore: Datastore,
        kinds: Sequence[str],
        clock: Clock,
        decode: Decode = decode_stored,
        backoff: Callable[[], Backoff] = Backoff,
        *,
        prefixes: Sequence[str] | None = None,
        stand_in: Callable[[StoredChange], StoredChange] = as_it_is,
    ) -> None:
        self._stand_in = stand_in
        self._decode = decode
        self._with_default_allow = ALLOW_PROFILE.kind in kinds
        self._intake = Intake()
        self._breaks: dict[PrefixSource, int] = {}
        self._is_to_begin_again = False
        self._rejected: dict[ResourceKey, str] = {}
        self._outage = Outage(clock)
        self._sources = [
            PrefixSource(datastore, prefix, clock, backoff(), self._intake, self._outage)
            for prefix in (_prefixes_of(kinds) if prefixes is None else prefixes)
        ]

    @property
    def rejected(self) -> Mapping[ResourceKey, str]:
        """Objects that are stored but cannot be read, and why."""
        return MappingProxyType(self._rejected)

    @property
    def outage(self) -> str:
        """Why the datastore does not answer; empty while it does."""
        return self._outage.problem

    @property
    def listings(self) -> int:
        """How many listings of prefixes have been told: more than at the start when history had a gap."""
        return sum(source.listings for source in self._sources)

    def repeat(self, change: StoredChange) -> None:
        """Tell again what is stored under a key, unless newer news of it waits."""
        if not self._intake.has(change.key):
            self._intake.take(change)

    def begin_again(self) -> None:
        """Tell everything as it is now, whatever was told before; batches are not in sync until that is done."""
        self._is_to_begin_again = True
        self._intake.news.set()

    async def batches(self) -> AsyncGenerator[StreamBatch, None]:
        """Everything that is stored, then every change, until cancelled or closed. May be called once."""
        tasks = {source: self._started(source) for source in self._sources}
        try:
            if self._with_default_allow:
                yield StreamBatch((Change(ALLOW_PROFILE.key, ALLOW_PROFILE),), in_sync=False)
            async for batch in self._batches(tasks):
                yield batch
        finally:
            await _cancelled(tasks.values())

    def _started(self, source: PrefixSource) -> asyncio.Task[None]:
        task = asyncio.create_task(source.run())
        task.add_done_callback(lambda _: self._intake.news.set())
        return task

    async def _batches(self, tasks: dict[PrefixSource, asyncio.Task[None]]) -> AsyncIterator[StreamBatch]:
        was_in_sync = False
        while True:
            await self._intake.news.wait()
            self._intake.news.clear()
            _raise_failure(tasks.values())
            await self._follow_break(tasks)
            in_sync = all(source.is_listed for source in self._sources)
            was_in_sync = was_in_sync and in_sync
            newest = self._intake.taken()
            for begin in range(0, len(newest), BATCH_CHANGES):
                changes = self._decoded(newest[begin : begin + BATCH_CHANGES])
                is_last = begin + BATCH_CHANGES >= len(newest)
                yield StreamBatch(changes, (was_in_sync or (in_sync and is_last)) and not self._is_to_begin_again)
                await asyncio.sleep(0)
            if in_sync and not was_in_sync and not newest:
                yield StreamBatch((), in_sync=True)
            was_in_sync = in_sync

    async def _follow_break(self, tasks: dict[PrefixSource, asyncio.Task[None]]) -> None:
        """Where one source found that history is another, those begin anew that did not: together they are one state.

        Policies of one history over endpoints of another would be what nobody ever wrote.
        """
        unaware = [source for source in self._sources if source.breaks == self._breaks.get(source, 0)]
        if self._is_to_begin_again:
            self._is_to_begin_again, unaware = False, self._sources
        elif len(unaware) == len(self._sources):
            return
        self._breaks = {source: source.breaks for source in self._sources}
        await _cancelled([tasks[source] for source in unaware])
        for source in unaware:
            source.distrust()
            tasks[source] = self._started(source)

    def _decoded(self, stored: Sequence[StoredChange]) -> Sequence[Change]:
        changes = []
        for item in stored:
            key = parse_key(item.key)
            if key is not None and key != ALLOW_PROFILE.key:
                changes.append(Change(key, self._value(key, self._stand_in(item))))
        return changes

    def _value(self, key: ResourceKey, item: StoredChange) -> StoredValue | None:
        self._rejected.pop(key, None)
        if item.value is None:
            return None
        try:
            return self._decode(key, item.value, item.revision)
        except InvalidResource as error:
            self._rejected[key] = str(error)
            _log.warning("stored_object_unreadable", key=item.key, problem=str(error))
            return None


def _prefixes_of(kinds: Sequence[str]) -> list[str]:
    return [prefix for kind in kinds for prefix in stream_prefixes(kind)]


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _raise_failure(tasks: Iterable[asyncio.Task[None]]) -> None:
    """A source ends by a bug only, and a bug must not look like silence."""
    for task in tasks:
        if task.done():
            task.result()
