"""What the books say of pools and of single addresses, as plain data for whoever shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from tortie.base.addresses import Cidr
from tortie.ipam.errors import UnreadableRecord
from tortie.ipam.inspection import cooling_addresses, record_of
from tortie.ipam.pools import pool_of
from tortie.ipam.report import Books
from tortie.ipam.usage import Usage, usage


class State(StrEnum):
    """What is known of an address."""

    IN_USE = "in use"
    COOLING = "cooling down"
    FREE = "not assigned"
    UNKNOWN = "unknown"


class ToldAddress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One address.

    Args:
        pool: the name of its pool; empty when it is in none.
        used_by: what uses it, whatever its record says.
        attributes: of who holds it.
        released_at: since when it cools down, RFC 3339.
        problem: why its state is unknown.
    """

    address: str
    state: State
    pool: str = ""
    used_by: tuple[str, ...] = ()
    attributes: Mapping[str, str] = {}
    released_at: str = ""
    problem: str = ""


class PoolUsage(msgspec.Struct, frozen=True):
    """How full a pool is, and each of its blocks, readable or not."""

    name: str
    usage: Usage
    blocks: tuple[Usage, ...]


def tell_address(books: Books, address: Cidr) -> ToldAddress:
    """What is known of an address."""
    pool = pool_of(books.pools, address)
    told = ToldAddress(
        address=address.text,
        state=State.FREE,
        pool=pool.name if pool else "",
        used_by=tuple(books.users.get(address.text, ())),
    )
    if key := books.snapshot.unreadable_block_of(address):
        problem = str(UnreadableRecord(key, books.snapshot.unreadable[key]))
        return msgspec.structs.replace(told, state=State.UNKNOWN, problem=problem)
    if record := record_of(books.snapshot, address):
        return msgspec.structs.replace(told, state=State.IN_USE, attributes=record)
    if released := cooling_addresses(books.snapshot).get(address.text):
        return msgspec.structs.replace(told, state=State.COOLING, released_at=released)
    return told


def usages(books: Books, *, blocks: bool) -> tuple[PoolUsage, ...]:
    """How full every pool is, and its blocks when asked for."""
    stored = list(books.snapshot.blocks.values())
    unknown = list(books.snapshot.unreadable_blocks)
    every = sorted([*books.snapshot.blocks, *unknown]) if blocks else []
    found = []
    for pool in books.pools:
        reserved = books.reserved[pool.cidr.family]
        inside = [cidr for cidr in every if pool.cidr.contains(cidr)]
        counted = tuple(
            usage(cidr, [books.snapshot.blocks[cidr]], reserved)
            if cidr in books.snapshot.blocks
            else usage(cidr, (), reserved, [cidr])
            for cidr in inside
        )
        found.append(PoolUsage(pool.name, usage(pool.cidr, stored, reserved, unknown), counted))
    return tuple(found)
