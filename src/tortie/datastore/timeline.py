"""The changes of resources in order, with those that nobody recorded, and what it takes to go back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from tortie.api.resource import ResourceKey
from tortie.base.errors import Problem
from tortie.datastore.changelog import Content, Entry, Record, content, is_same
from tortie.datastore.contract import KeyValue
from tortie.datastore.journal import Replacement

UNRECORDED = "by a client that keeps no record (calicoctl, etcdctl): nobody knows who, when and in how many steps"

Stored = Mapping[ResourceKey, KeyValue | None]
"""What is stored now under each key."""


class Step(msgspec.Struct, frozen=True):
    """One change of one resource; `record` is None where nobody recorded it."""

    key: ResourceKey
    before: Content | None
    after: Content | None
    record: Record | None = None


class Return(msgspec.Struct, frozen=True):
    """What is to be written to go back, and why something cannot be, or not without overwriting others' work."""

    replacements: tuple[Replacement, ...] = ()
    overwrites: tuple[Problem, ...] = ()
    lost: tuple[Problem, ...] = ()


def timeline(entries: Sequence[Entry], stored: Stored) -> list[Step]:
    """Recorded changes in their order, and between and behind them what was found changed.

    Args:
        stored: now, of those whose newest change is to be compared with it.
    """
    steps: list[Step] = []
    newest: dict[ResourceKey, Content | None] = {}
    for record in (one.record for one in entries):
        if record.key in newest and not _equal(newest[record.key], record.before):
            steps.append(Step(record.key, newest[record.key], record.before))
        steps.append(Step(record.key, record.before, record.after, record))
        newest[record.key] = record.after
    for key, left in newest.items():
        data = _data(stored.get(key))
        if key in stored and not is_same(left, data):
            steps.append(Step(key, left, content(data)))
    return steps


def undoing(entries: Sequence[Entry], change: str) -> dict[ResourceKey, list[Record]]:
    """What a change did, by resource; empty when it is not known."""
    return _by_key(one.record for one in entries if one.record.change == change)


def returning(
    entries: Sequence[Entry], change: str, keys: Collection[ResourceKey] = ()
) -> dict[ResourceKey, list[Record]]:
    """What came after a change, by resource.

    Args:
        keys: only these; all when empty.
    """
    last = max((at for at, one in enumerate(entries) if one.record.change == change), default=len(entries))
    return _by_key(one.record for one in entries[last + 1 :] if not keys or one.record.key in keys)


def way_back(taken: Mapping[ResourceKey, Sequence[Record]], stored: Stored, entries: Sequence[Entry]) -> Return:
    """How to take changes back: each resource becomes, to the byte, what it was before the first of its changes.

    Args:
        taken: the changes of each resource, in order.
        entries: all that is recorded, to name who changed it since.
    """
    replacements, overwrites, lost = [], [], []
    for key, records in taken.items():
        wanted, now = records[0].before, stored[key]
        data = None if wanted is None else wanted.data
        if is_same(wanted, _data(now)):
            continue
        if wanted is not None and data is None:
            lost.append(Problem(str(key), "", f"was too large before {records[0].change} to be kept", "apply a file"))
            continue
        if problem := _intervening(records, _data(now), entries):
            overwrites.append(Problem(str(key), "", problem))
        replacements.append(Replacement(key, now, data))
    return Return(tuple(replacements), tuple(overwrites), tuple(lost))


def _intervening(records: Sequence[Record], now: bytes | None, entries: Sequence[Entry]) -> str:
    """Who changed a resource since, or in between; empty when nobody did."""
    for earlier, later in pairwise(records):
        if not _equal(earlier.after, later.before):
            return f"was changed between {earlier.change} and {later.change} {UNRECORDED}"
    left = records[-1]
    if is_same(left.after, now):
        return ""
    for record in reversed([one.record for one in entries if one.record.key == left.key]):
        if record.change != left.change and is_same(record.after, now):
            return f"was changed since by {record.who or 'somebody'} in {record.change} ({record.program})"
    return f"was changed since {UNRECORDED}"


def _by_key(records: Iterable[Record]) -> dict[ResourceKey, list[Record]]:
    found: dict[ResourceKey, list[Record]] = {}
    for record in records:
        found.setdefault(record.key, []).append(record)
    return found


def _equal(one: Content | None, other: Content | None) -> bool:
    return (one and one.sha256) == (other and other.sha256)


def _data(stored: KeyValue | None) -> bytes | None:
    return stored.value if stored else None
