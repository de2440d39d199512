"""Changes that hold only if somebody confirms them: what is stored of them, and how each comes to its end.

A change is first offered, so that nodes can keep what they need to go back by themselves; then applied, in one
transaction with its record; then confirmed, or taken back, by whoever notices that its time is over. What is stored
under `/tortie/pending/v1/` says that it is not decided yet. What nodes say of it is under `/tortie/heard/v1/`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from tortie.api.resource import ResourceKey
from tortie.base.clock import Clock
from tortie.base.errors import AlreadyExists, Conflict, NotFound, StaleRevision
from tortie.datastore.changelog import Content, Origin, content
from tortie.datastore.contract import Datastore, KeyValue, Write
from tortie.datastore.journal import Journal, Replacement
from tortie.datastore.keys import resource_key

PENDING_ROOT = "/tortie/pending/v1/"
HEARD_ROOT = "/tortie/heard/v1/"

OFFER_SECONDS = 120
"""An offer that is not followed by its change vanishes."""

_HEARD_SECONDS = 86_400
_ATTEMPTS = 20

PREPARED, APPLIED, REVERTED = "prepared", "applied", "reverted"
"""What a node says: it can go back by itself; the change is in its kernel, and it still reaches the datastore; it has
gone back by itself."""


class PendingWrite(msgspec.Struct, frozen=True):
    """One resource of a change: its bytes before and after; None is nothing."""

    kind: str
    namespace: str
    name: str
    before: Content | None
    after: Content | None

    @property
    def key(self) -> ResourceKey:
        """Which resource."""
        return ResourceKey(self.kind, self.namespace, self.name)

    @property
    def stored_key(self) -> str:
        """Where it is stored."""
        return resource_key(self.key)


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is not decided.

    Args:
        seconds: how long it holds without being confirmed, for each node since it saw it.
        until: when that is over by the clock of who applied it, seconds since the epoch; 0 before it is applied.
        nodes: selector of the nodes on which it holds until it is confirmed; all when empty.
    """

    change: str
    who: str
    seconds: float
    writes: tuple[PendingWrite, ...]
    until: float = 0.0
    nodes: str = ""


class Standing(msgspec.Struct, frozen=True):
    """A pending change, and the revision that its key is at."""

    pending: Pending
    revision: int


def pending_write(change: Replacement) -> PendingWrite:
    """What nodes must know of a change."""
    before = content(change.stored.value if change.stored else None)
    return PendingWrite(change.key.kind, change.key.namespace, change.key.name, before, content(change.value))


def heard_key(change: str, node: str) -> str:
    """Where a node says what it knows of a change."""
    return f"{HEARD_ROOT}{change}/{node}"


def standing(item: KeyValue) -> Standing | None:
    """The pending change under a key; None when it cannot be read."""
    try:
        return Standing(msgspec.json.decode(item.value, type=Pending), item.revision)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def read_pending(datastore: Datastore) -> list[Standing]:
    """All changes that are not decided, the oldest first."""
    return [one for item in (await datastore.list(PENDING_ROOT)).items if (one := standing(item)) is not None]


async def offer(datastore: Datastore, pending: Pending) -> None:
    """Let nodes prepare."""
    await datastore.put(PENDING_ROOT + pending.change, msgspec.json.encode(pending), OFFER_SECONDS)


async def withdraw(datastore: Datastore, change: str) -> None:
    """Take an offer back, if it is there."""
    try:
        await datastore.delete(PENDING_ROOT + change)
    except NotFound:
        return


async def say_heard(datastore: Datastore, change: str, node: str, state: str) -> None:
    """A node's word on a change."""
    await datastore.put(heard_key(change, node), state.encode(), _HEARD_SECONDS)


async def heard(datastore: Datastore, change: str) -> dict[str, str]:
    """What every node said last."""
    prefix = f"{HEARD_ROOT}{change}/"
    items = (await datastore.list(prefix)).items
    return {item.key.removeprefix(prefix): item.value.decode("utf-8", "replace") for item in items}


async def apply_offered(
    datastore: Datastore, journal: Journal, pending: Pending, changes: Sequence[Replacement], now: float
) -> Pending:
    """Carry out what was offered, all at once.

    Raises:
        AlreadyExists, NotFound, StaleRevision: somebody changed one of the resources since, or the offer is gone.
    """
    key = PENDING_ROOT + pending.change
    stored = await datastore.get(key)
    applied = msgspec.structs.replace(pending, until=now + pending.seconds)
    if stored is None:
        raise NotFound(f"the offer of {pending.change}")
    await journal.write_together(changes, [Write(key, msgspec.json.encode(applied), stored.revision)])
    return applied


async def confirm(datastore: Datastore, change: str, now: float) -> None:
    """Let a change hold.

    Raises:
        NotFound: it is not pending: it was confirmed or taken back, or never was.
        Conflict: its time is over.
    """
    key = PENDING_ROOT + change
    while True:
        stored = await datastore.get(key)
        found = standing(stored) if stored else None
        if stored is None or found is None:
            raise NotFound(change)
        if not found.pending.until:
            raise Conflict(change, "has not been applied yet")
        if now >= found.pending.until:
            raise Conflict(change, "was not confirmed in time, and is being taken back")
        try:
            await datastore.delete(key, stored.revision)
        except StaleRevision:
            continue
        return


async def take_back(datastore: Datastore, clock: Clock, change: str, origin: Origin) -> list[ResourceKey] | None:
    """Undo a pending change, exactly and all at once; what others changed since stays as they left it.

    Returns:
        What was left to others; None when the change is decided already.

    Raises:
        Conflict: others write all the time.
    """
    journal = Journal(datastore, clock, origin)
    for _ in range(_ATTEMPTS):
        stored = await datastore.get(PENDING_ROOT + change)
        found = standing(stored) if stored else None
        if stored is None or found is None:
            return None
        replacements, left = await _undone(datastore, found.pending)
        try:
            if replacements:
                await journal.write_together(replacements, [Write(stored.key, None, stored.revision)])
            else:
                await datastore.delete(stored.key, stored.revision)
        except (AlreadyExists, NotFound, StaleRevision):
            await clock.sleep(0.01)
            continue
        return left
    raise Conflict(change, "cannot be taken back, since what it changed is being written by others all the time")


async def _undone(datastore: Datastore, pending: Pending) -> tuple[list[Replacement], list[ResourceKey]]:
    if not pending.until:
        return [], []
    replacements, left = [], []
    for write in pending.writes:
        now = await datastore.get(write.stored_key)
        before, after = (one.data if one else None for one in (write.before, write.after))
        value = now.value if now else None
        if value == after:
            replacements.append(Replacement(write.key, now, before))
        elif value != before:
            left.append(write.key)
    return replacements, left


def told_time(seconds: float) -> str:
    """A moment, RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
