"""Typed access to what is stored, and the one compare-and-swap loop: read, plan, write, read again if too late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Generic, TypeVar

import msgspec

from tortie.api.codec import decode, decode_value, encode_value
from tortie.api.foreign import carry_over
from tortie.api.resource import Resource, ResourceKey
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import Conflict, InvalidResource, NotFound
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, KeyValue, Write
from tortie.datastore.keys import parse_key, resource_key, resource_prefix
from tortie.ipam.errors import UnreadableRecord

T = TypeVar("T", bound=msgspec.Struct)

_log = Logger(__name__)

Unreadable = Callable[[str, str], None]
"""Is told the key of a value that cannot be read, and why."""

ATTEMPTS = 100
"""How often a write is tried against others before giving up."""


class Stored(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A value, its revision, and its bytes."""

    value: T
    revision: int
    data: bytes


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a key should become, from what was read; None is absent."""

    key: str
    current: Stored[Any] | None
    wanted: msgspec.Struct | None

    @property
    def write(self) -> Write:
        """As the datastore takes it; from nothing to nothing there is none."""
        if self.wanted is None:
            assert self.current is not None, "what is absent cannot be deleted"
            return Write(self.key, None, self.current.revision)
        if self.current is None:
            return Write(self.key, encode_value(self.wanted), 0)
        return Write(self.key, _with_unknown_fields(self.current, self.wanted), self.current.revision)


def log_unreadable(key: str, reason: str) -> None:
    """Write to the log that something stored cannot be read."""
    _log.warning("stored value unreadable", key=key, problem=reason)


class Store:
    """A datastore, read and written as typed values.

    Args:
        keys: values read ahead by key, None where there is none. Each is given to one reader, the first: who reads
            again, since others changed it, gets what is there then. What is committed counts as read.
        prefixes: listings read ahead.
    """

    def __init__(
        self,
        datastore: Datastore,
        clock: Clock,
        random: Random,
        keys: Mapping[str, KeyValue | None] | None = None,
        prefixes: Mapping[str, Sequence[KeyValue]] | None = None,
    ) -> None:
        self._datastore = datastore
        self._clock = clock
        self._random = random
        self._keys = dict(keys or {})
        self._prefixes = prefixes or {}

    async def ahead(self, keys: Iterable[str], prefixes: Iterable[str]) -> Store:
        """The same store, some of which one request has read already."""
        names, beginnings = tuple(keys), tuple(prefixes)
        found = await self._datastore.read(names, beginnings)
        listings = {start: [found[key] for key in sorted(found) if key.startswith(start)] for start in beginnings}
        return Store(self._datastore, self._clock, self._random, {key: found.get(key) for key in names}, listings)

    async def look_again(self, *keys: str) -> None:
        """Read some keys ahead, in one request; only for a store of one errand, which nobody else reads."""
        assert self._prefixes, "what one reader leaves would be old for the next"
        found = await self._datastore.read(keys)
        self._keys |= {key: found.get(key) for key in keys}

    def is_absent(self, key: str) -> bool:
        """Whether a key was read ahead, and is not there."""
        return self._keys.get(key, self) is None

    async def _get(self, key: str) -> KeyValue | None:
        return self._keys.pop(key) if key in self._keys else await self._datastore.get(key)

    async def _list(self, prefix: str) -> Sequence[KeyValue]:
        ahead = self._prefixes.get(prefix)
        return (await self._datastore.list(prefix)).items if ahead is None else ahead

    async def read(self, key: str, type: type[T]) -> Stored[T] | None:
        """The value of a key, or None."""
        found = await self._get(key)
        return None if found is None else stored_value(found, type)

    async def list_values(
        self, prefix: str, type: type[T], unreadable: Unreadable = log_unreadable
    ) -> dict[str, Stored[T]]:
        """All values under a prefix, by key, in the order of keys; what cannot be read is told, and left out."""
        values = ((item.key, _readable(item, type, unreadable)) for item in await self._list(prefix))
        return {key: stored for key, stored in values if stored is not None}

    async def overwrite(self, key: str, value: msgspec.Struct, unreadable: KeyValue) -> None:
        """Put a value in the place of one that cannot be read, if nobody else did.

        Raises:
            Conflict: it is no longer what it was.
        """
        await self._datastore.update(key, encode_value(value), unreadable.revision)

    async def raw(self, key: str) -> KeyValue | None:
        """What a key holds, readable or not."""
        return await self._get(key)

    async def names(self, prefix: str) -> list[ResourceKey]:
        """What the keys under a prefix name, in the order of keys, whatever their values."""
        names = (parse_key(item.key) for item in await self._list(prefix))
        return [name for name in names if name is not None]

    async def resources(self, kind: str) -> list[Resource]:
        """All resources of a kind, in the order of names; what cannot be read is left out."""
        items = await self._list(resource_prefix(kind))
        return [resource for item in items if (resource := _readable_resource(kind, item)) is not None]

    async def resource(self, kind: str, name: str) -> Resource | None:
        """One cluster-wide resource, or None."""
        found = await self._get(resource_key(ResourceKey(kind, "", name)))
        return None if found is None else decode(kind, found.value)

    async def commit(self, *wishes: Wish) -> list[Stored[Any] | None]:
        """Bring keys from what was read to what is wanted, all in one conditional write; gives what is there now.

        Raises:
            Conflict: one is no longer as it was read, and all stay as they are.
        """
        writes = [wish.write for wish in wishes]
        revisions = await self._datastore.write_together(writes)
        if self._prefixes:
            self._keys |= {
                write.key: KeyValue(write.key, write.value, revision, 0)
                for write, revision in zip(writes, revisions, strict=True)
                if write.value is not None
            }
        return [
            None if write.value is None else Stored(wish.wanted, revision, write.value)
            for wish, write, revision in zip(wishes, writes, revisions, strict=True)
        ]

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
        return Stored(wanted, revision, data)

    async def _create(self, key: str, wanted: T) -> Stored[T]:
        data = encode_value(wanted)
        revision = await self._datastore.create(key, data)
        return Stored(wanted, revision, data)

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
    return Stored(value, found.revision, found.value)


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
