"""Splitting a pool into equal parts, while the datastore is locked; addresses and blocks stay as they are."""

from __future__ import annotations

import uuid

import msgspec

from tortie.api.codec import encode
from tortie.api.ippool import IPPool
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.base.errors import AlreadyExists, InvalidResource, Problem
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.resources import ResourceStore
from tortie.ipam.pools import BLOCK_LENGTHS


def parts_of(pool: IPPool, count: int) -> tuple[IPPool, ...]:
    """The pools that a pool becomes: named after it with a number, otherwise like it. Pure.

    Raises:
        InvalidResource: it cannot be split into so many.
    """
    cidr = Cidr.parse(pool.spec.cidr)
    bits = count.bit_length() - 1
    if count < 2 or 1 << bits != count:
        raise _refusal(pool, f"cannot be split into {count} parts", "use a power of two from 2 upwards")
    length = cidr.length + bits
    block = pool.spec.block_size or BLOCK_LENGTHS[cidr.family]
    if length > block:
        raise _refusal(
            pool, f"{count} parts would be of /{length}, smaller than its blocks of /{block}",
            f"use at most {1 << (block - cidr.length)}",
        )  # fmt: skip
    step = 1 << (cidr.bits - length)
    return tuple(
        msgspec.structs.replace(
            pool,
            metadata=Metadata(name=f"{pool.metadata.name}-{index}", labels=pool.metadata.labels),
            spec=msgspec.structs.replace(
                pool.spec, cidr=str(Cidr(cidr.family, cidr.address + index * step, length))
            ),
        )
        for index in range(count)
    )  # fmt: skip


async def split_pool(datastore: Datastore, store: ResourceStore, pool: IPPool, count: int) -> tuple[IPPool, ...]:
    """Write the parts, then delete the pool; after an interruption the same call ends the work.

    The parts overlap the pool for a moment, which the store refuses to everybody else: they are written below it.

    Raises:
        InvalidResource: it cannot be split so, or the name of a part is taken by another pool.
    """
    parts = parts_of(pool, count)
    for part in parts:
        existing = await store.get(part.key)
        if existing is not None and existing.spec != part.spec:  # type: ignore[attr-defined] # a pool has one
            raise InvalidResource(Problem(str(part.key), "", "exists and is another pool", "delete or rename it"))
    for part in parts:
        await _create(datastore, _identified(part, pool))
    await store.delete(pool.key)
    return parts


def _identified(part: IPPool, pool: IPPool) -> IPPool:
    """A part as the store would have created it, as old as the pool."""
    metadata = msgspec.structs.replace(
        part.metadata, uid=str(uuid.uuid4()), creation_timestamp=pool.metadata.creation_timestamp
    )
    return msgspec.structs.replace(part, metadata=metadata)


async def _create(datastore: Datastore, part: IPPool) -> None:
    try:
        await datastore.create(resource_key(part.key), encode(part))
    except AlreadyExists:
        return


def _refusal(pool: IPPool, problem: str, remedy: str) -> InvalidResource:
    return InvalidResource(Problem(str(pool.key), "spec.cidr", problem, remedy))
