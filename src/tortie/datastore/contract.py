"""The contract of every datastore driver: etcd's keys and bytes, revisions, compare-and-swap, watches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from tortie.base.errors import NotPermitted

if TYPE_CHECKING:
    from tortie.datastore.limits import TooLarge


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """One stored key. Revisions count every write to the datastore, from 1; 0 is before the first."""

    key: str
    value: bytes
    revision: int
    created: int


class Write(msgspec.Struct, frozen=True, gc=False):
    """One wished change.

    Args:
        value: the new value, or None to delete.
        expected: the revision that the key must be at, 0 for "must not exist", None for any.
        lifetime: seconds until it vanishes; 0 is never.
    """

    key: str
    value: bytes | None
    expected: int | None = None
    lifetime: int = 0


class Listing(msgspec.Struct, frozen=True, gc=False):
    """All keys of a prefix, or one page of them, sorted, as of one revision."""

    items: Sequence[KeyValue]
    revision: int


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change: `value` is None for a deletion; `previous` is what was there before, if anything."""

    key: str
    value: bytes | None
    revision: int
    created: int
    previous: bytes | None = None


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Changes that happened, in revision order; everything up to `revision` is in this or an earlier batch."""

    events: Sequence[Event]
    revision: int


class Datastore(Protocol):
    """One open datastore. All calls raise `Unavailable` when it does not answer, `NotPermitted` when it says no.

    A write that raises `OutcomeUnknown` may have been carried out all the same, or be carried out later: read again.
    Writes raise `TooLarge` for what no datastore would take.
    """

    async def get(self, key: str) -> KeyValue | None:
        """The current value, or None."""

    async def list(self, prefix: str) -> Listing:
        """All keys that begin with `prefix`, at one revision."""

    async def read(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> Mapping[str, KeyValue]:
        """Some keys, and all that begin with some prefixes, in one request at one revision; what is absent is left out.

        For a few of each: there are no pages.
        """

    def pages(self, prefix: str) -> AsyncGenerator[Listing, None]:
        """The same in one page or more, each read as the one before is taken; no page is told before it is whole.

        Raises RevisionTooOld when history was compacted in between: begin again.
        """

    async def create(self, key: str, value: bytes) -> int:
        """Write a key that must not exist; returns its revision. Raises AlreadyExists."""

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Write a key that must be at `revision`; returns the new one. Raises NotFound, StaleRevision."""

    async def put(self, key: str, value: bytes, lifetime: int = 0) -> int:
        """Write a key whatever it holds; for status and settings only.

        Args:
            lifetime: whole seconds after which the key vanishes, or somewhat later, unless it is written again
                before; what is written last counts. 0 is for ever.
        """

    async def delete(self, key: str, revision: int | None = None) -> int:
        """Remove a key, if it is at `revision` when given. Raises NotFound, StaleRevision."""

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        """Carry out all of up to 60 writes, of different keys and without lifetimes, or none; the revision of each.

        They may share one revision. A deletion names the revision that the key must be at.

        Raises:
            AlreadyExists, NotFound, StaleRevision: for the first whose key is not as it expects.
        """

    async def rehearse(self, writes: Mapping[str, bytes]) -> Mapping[str, TooLarge | NotPermitted]:
        """What would be refused of writing these values, by key, whatever is stored. Nothing is written.

        What has no bytes is a deletion. A write may be refused all the same, for reasons that only writing shows.
        """

    def watch(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        """Every change of the prefix after `revision`, in order, without gaps, until cancelled.

        Raises RevisionTooOld when history no longer reaches back that far, and HistoryBroken when it is
        another than the reader followed: list again.
        """

    async def compact(self, revision: int) -> None:
        """Forget history up to and including `revision`; current values stay."""

    async def close(self) -> None:
        """Release everything; watches end."""
