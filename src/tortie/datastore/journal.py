"""Writing resources together with the record of who did it, in one transaction, and forgetting records in time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from tortie.api.builtin import TIERS
from tortie.api.resource import ResourceKey
from tortie.base.clock import Clock
from tortie.base.errors import NotFound, NotPermitted, StaleRevision, Unavailable
from tortie.base.logs import Logger
from tortie.datastore.changelog import HISTORY_ROOT, RECORDED, Content, Entry, Origin, Record, content, entry
from tortie.datastore.contract import Datastore, KeyValue, Write
from tortie.datastore.keys import resource_key
from tortie.datastore.limits import MAX_REQUEST_BYTES, group_size

KEEP_RECORDS = 2_000
"""So many of the newest records are kept, and those that were written since records were last counted."""

KEEP_DAYS = 365

_BUILT_IN = frozenset(tier.key for tier in TIERS)

_COUNT_EVERY = 64
"""Records are counted once in so many writes, by chance: every command counts as likely as any other."""

_DAY_SECONDS = 86_400
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""No letter or digit that is taken for another."""

_log = Logger(__name__)


class Replacement(msgspec.Struct, frozen=True, gc=False):
    """One resource to be changed: what is stored now, if anything, and the bytes to come; None deletes it."""

    key: ResourceKey
    stored: KeyValue | None
    value: bytes | None


def change_id(now: float, choose: Callable[[str], str] = random.choice) -> str:
    """A name for a change that sorts by time: `20260721-140502-x7q2`.

    Args:
        now: seconds since the epoch.
    """
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(now)) + "".join(choose(_ALPHABET) for _ in range(4))


class Journal:
    """Writes resources; those of recorded kinds with a record of it, so that neither is there without the other.

    Args:
        origin: who writes.
        rarely: tells once in so many calls that records are to be counted.
    """

    def __init__(
        self,
        datastore: Datastore,
        clock: Clock,
        origin: Origin,
        rarely: Callable[[], bool] = lambda: random.randrange(_COUNT_EVERY) == 0,
    ) -> None:
        self._datastore = datastore
        self._clock = clock
        self._origin = origin
        self._rarely = rarely
        self._number = 0

    @property
    def origin(self) -> Origin:
        """Who writes."""
        return self._origin

    async def write(self, change: Replacement) -> int:
        """Change one resource, if it is as it was read; the revision at which it is then.

        Raises:
            AlreadyExists, NotFound, StaleRevision: it has been written since.
        """
        if not _is_recorded(change):
            return await self._write_alone(change)
        return (await self.write_together([change]))[0]

    async def write_together(self, changes: Sequence[Replacement], beside: Sequence[Write] = ()) -> Sequence[int]:
        """Change all of up to 30 resources, each if it is as it was read, or none.

        Args:
            beside: other keys to be written with them.

        Raises:
            AlreadyExists, NotFound, StaleRevision: one has been written since.
            NotPermitted: the user may not write this, or not the record of it.
        """
        writes = [Write(resource_key(one.key), one.value, one.stored.revision if one.stored else 0) for one in changes]
        records = self._records(changes, kept=True)
        if group_size([*writes, *beside, *records]) > MAX_REQUEST_BYTES:
            records = self._records(changes, kept=False)
        try:
            revisions = await self._datastore.write_together([*writes, *beside, *records])
        except NotPermitted as error:
            raise NotPermitted(
                f"{error}; a change is recorded under {HISTORY_ROOT}, which must be allowed too"
            ) from error
        if records and self._rarely():
            await self.forget()
        return revisions[: len(changes)]

    async def forget(self) -> None:
        """Remove records beyond the number and the age that are kept; that it cannot be done is no harm."""
        oldest = time.strftime("%Y%m%d", time.gmtime(self._clock.now() - KEEP_DAYS * _DAY_SECONDS))
        try:
            items = sorted((await self._datastore.list(HISTORY_ROOT)).items, key=lambda item: item.revision)
            for position, item in enumerate(items):
                if position < len(items) - KEEP_RECORDS or item.key < HISTORY_ROOT + oldest:
                    await self._remove(item)
        except Unavailable as error:
            _log.info("history_not_trimmed", problem=str(error))

    async def _remove(self, item: KeyValue) -> None:
        try:
            await self._datastore.delete(item.key, item.revision)
        except (NotFound, StaleRevision):
            return

    async def _write_alone(self, change: Replacement) -> int:
        key = resource_key(change.key)
        revision = change.stored.revision if change.stored else 0
        if change.value is None:
            return await self._datastore.delete(key, revision)
        if change.stored is None:
            return await self._datastore.create(key, change.value)
        return await self._datastore.update(key, change.value, revision)

    def _records(self, changes: Sequence[Replacement], *, kept: bool) -> list[Write]:
        """What is to be written of changes, each under a key that nobody else takes."""
        now, origin = self._clock.now(), self._origin
        name = origin.change or change_id(now)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        writes = []
        for one in changes:
            if not _is_recorded(one):
                continue
            self._number += 1
            before = content(one.stored.value if one.stored else None, kept=kept)
            record = _record(name, at, origin, one.key, (before, content(one.value, kept=kept)))
            writes.append(Write(f"{HISTORY_ROOT}{name}/{self._number:06}", msgspec.json.encode(record), 0))
        return writes


def _is_recorded(change: Replacement) -> bool:
    """Built-in tiers come with the datastore; nobody's change would be taken back with them."""
    return change.key.kind in RECORDED and not (change.stored is None and change.key in _BUILT_IN)


def _record(
    change: str, at: str, origin: Origin, key: ResourceKey, contents: tuple[Content | None, Content | None]
) -> Record:
    return Record(
        change=change,
        at=at,
        who=origin.who,
        program=origin.program,
        why=origin.why,
        kind=key.kind,
        namespace=key.namespace,
        name=key.name,
        before=contents[0],
        after=contents[1],
    )


async def read_history(datastore: Datastore) -> list[Entry]:
    """All records that can be read, in the order of the changes."""
    items = sorted((await datastore.list(HISTORY_ROOT)).items, key=lambda item: (item.revision, item.key))
    return [one for item in items if (one := entry(item)) is not None]
