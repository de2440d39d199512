"""Typed access to what is stored, and the one compare-and-swap loop: read, plan, write, read again if too late."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

import msgspec

from tortie.api.codec import decode, decode_value, encode_value
from tortie.api.foreign import carry_over
from tortie.api.resource import Resource, ResourceKey
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import Conflict, InvalidResource, NotFound
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.keys import parse_key, resource_key, resource_prefix
from tortie.ipam.errors import Contention, UnreadableRecord

T = TypeVar("T", bound=msgspec.Struct)

_log = Logger(__name__)

Unreadable = Callable[[str, str], None]
"""Is told the key of a value that cannot be read, and why."""

ATTEMPTS = 100
"""How often a write is tried against others before giving up."""


class Stored(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A value, its revision, the revision at which its key came to be, and its bytes."""

    value: T
    revision: int
    created: int
    data: bytes


Plan = Callable[[T | None], T | None]
"""From what is there to what should be; None is absent. The same object back means: leave it."""


def log_unreadable(key: str, reason: str) -> None:
    """Write to the log that something stored cannot be read."""
    _log.warning("stored value unreadable", key=key, problem=reason)


class Store:
    """A datastore, read and written as typed values."""

    def __init__(self, datastore: Datastore, clock: Clock, random: Random) -> None:
        self._datastore = datastore
        self._clock = clock
        self._random = random

    async def read(self, key: str, type: type[T]) -> Stored[T] | None:
        """The value of a key, or None."""
        found = await self._datastore.get(key)
        return None if found is None else stored_value(found, type)

    async def list_values(
        self, prefix: str, type: type[T], unreadable: Unreadable = log_unreadable
    ) -> dict[str, Stored[T]]:
        """All values under a prefix, by key, in the order of keys; what cannot be read is told, and left out."""
        listing = await self._datastore.list(prefix)
        values = ((item.key, _readable(item, type, unreadable)) for item in listing.items)
        return {key: stored for key, stored in values if stored is not None}

    async def overwrite(self, key: str, value: msgspec.Struct, unreadable: KeyValue) -> None:
        """Put a value in the place of one that cannot be read, if nobody else did.

        Raises:
            Conflict: it is no longer what it was.
        """
        await self._datastore.update(key, encode_value(value), unreadable.revision)

    async def raw(self, key: str) -> KeyValue | None:
        """What a key holds, readable or not."""
        return await self._datastore.get(key)

    async def names(self, prefix: str) -> list[ResourceKey]:
        """What the keys under a prefix name, in the order of keys, whatever their values."""
        names = (parse_key(item.key) for item in (await self._datastore.list(prefix)).items)
        return [name for name in names if name is not None]

    async def resources(self, kind: str) -> list[Resource]:
        """All resources of a kind, in the order of names; what cannot be read is left out."""
        listing = await self._datastore.list(resource_prefix(kind))
        return [resource for item in listing.items if (resource := _readable_resource(kind, item)) is not None]

    async def resource(self, kind: str, name: str) -> Resource | None:
        """One cluster-wide resource, or None."""
        found = await self._datastore.get(resource_key(ResourceKey(kind, "", name)))
        return None if found is None else decode(kind, found.value)

    async def write(self, key: str, current: Stored[T] | None, wanted: T | None) -> Stored[T] | None:
        """Bring a key from what was read to what is wanted, as one conditional write.

        Raises:
            Conflict: it is no longer as it was read.
        """
        if current is None:
            return None if wanted is None else await self._create(key, wanted)
        if wanted is None:
            await self._datastore.delete(key, current.revision)
            return None
        if wanted is current.value:
            return current
        data = _with_unknown_fields(current, wanted)
        revision = await self._datastore.update(key, data, current.revision)
        return Stored(wanted, revision, current.created, data)

    async def _create(self, key: str, wanted: T) -> Stored[T]:
        data = encode_value(wanted)
        revision = await self._datastore.create(key, data)
        return Stored(wanted, revision, revision, data)

    async def change(self, key: str, type: type[T], plan: Plan[T]) -> tuple[Stored[T] | None, Stored[T] | None]:
        """Carry out a plan for one key, however often others get in between; gives before and after.

        Raises:
            Contention: others got in between every time.
        """
        for attempt in range(ATTEMPTS):
            await self.pause(attempt)
            before = await self.read(key, type)
            try:
                return before, await self.write(key, before, plan(before.value if before else None))
            except Conflict:
                continue
        raise Contention(key, ATTEMPTS)

    async def remove(self, key: str, current: Stored[T]) -> bool:
        """Delete a key if it is as it was read; whether it is gone now."""
        try:
            await self._datastore.delete(key, current.revision)
        except NotFound:
            return True
        except Conflict:
            return False
        return True

    async def pause(self, attempt: int) -> None:
        """Wait before a try that is not the first, longer each time."""
        if attempt:
            delay = Backoff(first=0.002, limit=0.2, random=self._random, attempts=attempt - 1).next()
            await self._clock.sleep(delay)


def stored_value(found: KeyValue, type: type[T]) -> Stored[T]:
    """A typed value.

    Raises:
        UnreadableRecord: it is none.
    """
    try:
        value = decode_value(type, found.value)
    except InvalidResource as error:
        reason = "; ".join(f"{one.path}: {one.problem}" if one.path else one.problem for one in error.problems)
        raise UnreadableRecord(found.key, reason) from error
    return Stored(value, found.revision, found.created, found.value)


def _with_unknown_fields(current: Stored[T], wanted: T) -> bytes:
    """The bytes of a value; what a newer writer stored beyond the fields known here stays with what it belongs to."""
    return carry_over(current.data, encode_value(current.value), encode_value(wanted), type(wanted)).data


def _readable(found: KeyValue, type: type[T], unreadable: Unreadable) -> Stored[T] | None:
    """One broken value must not keep a whole cluster from its addresses."""
    try:
        return stored_value(found, type)
    except UnreadableRecord as error:
        unreadable(error.key, error.reason)
        return None


def _readable_resource(kind: str, found: KeyValue) -> Resource | None:
    try:
        return decode(kind, found.value)
    except InvalidResource as error:
        _log.warning("stored resource unreadable", key=found.key, problem=str(error))
        return None
