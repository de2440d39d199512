"""Who held an address before: what the datastore remembers of its block, up to the last compaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from tortie.api.codec import decode_value
from tortie.api.ipam import IPAMBlock
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, RevisionTooOld
from tortie.datastore.contract import Datastore, Event
from tortie.datastore.keys import block_key
from tortie.ipam.block import attribute_at, handle_of, ordinal_of


class Tenure(msgspec.Struct, frozen=True, rename="camel"):
    """One holder of an address, one after another.

    Args:
        attributes: what was recorded of the holder, `handle` and `timestamp` among them.
        released_at: RFC 3339; empty when it was not recorded, as happens without a cooldown.
    """

    attributes: Mapping[str, str]
    released_at: str = ""


class Past(msgspec.Struct, frozen=True):
    """Holders before the present one, oldest first.

    Args:
        is_whole: whether the datastore remembers everything since the block was made.
    """

    tenures: tuple[Tenure, ...] = ()
    is_whole: bool = True


async def read_past(datastore: Datastore, block: Cidr, address: Cidr) -> Past:
    """Who held an address of a block that exists, before whoever holds it now."""
    key = block_key(str(block))
    stored = await datastore.get(key)
    if stored is None:
        return Past()
    after = stored.created - 1
    while True:
        try:
            events = await _events(datastore, key, after, stored.revision)
        except RevisionTooOld as error:
            after = max(error.oldest, after + 1)
            continue
        return Past(known(tenures(events, address)[:-1]), after < stored.created)


async def _events(datastore: Datastore, key: str, after: int, last: int) -> list[Event]:
    """The writes of a key after a revision, up to the last, which there is. Raises RevisionTooOld."""
    events: list[Event] = []
    if after >= last:
        return events
    async with aclosing(datastore.watch(key, after)) as batches:
        async for batch in batches:
            events += [event for event in batch.events if event.key == key]
            if batch.revision >= last:
                break
    return events


def tenures(events: Sequence[Event], address: Cidr) -> list[Tenure | None]:
    """Who held an address after each change of that, in order; None is nobody. The last is the present. Pure."""
    values = [events[0].previous, *(event.value for event in events)] if events else []
    found: list[Tenure | None] = []
    for holder in (_holder(value, address) for value in values):
        if isinstance(holder, str):
            if found and (previous := found[-1]):
                found[-1:] = [msgspec.structs.replace(previous, released_at=holder), None]
        elif not found or _identity(found[-1]) != _identity(holder):
            found.append(holder)
    return found


def known(found: Iterable[Tenure | None]) -> tuple[Tenure, ...]:
    """Without the times when nobody held it."""
    return tuple(one for one in found if one is not None)


def _identity(tenure: Tenure | None) -> Mapping[str, str] | None:
    return tenure.attributes if tenure else None


def _holder(value: bytes | None, address: Cidr) -> Tenure | str | None:
    """Who holds an address, or since when it cools down, as the bytes of its block say."""
    try:
        block = decode_value(IPAMBlock, value) if value else None
    except InvalidResource:
        return None
    attribute = attribute_at(block, ordinal_of(block, address)) if block else None
    if attribute is None:
        return None
    if attribute.released_at is not None:
        return attribute.released_at
    return Tenure({"handle": handle_of(attribute), **(attribute.secondary or {})})
