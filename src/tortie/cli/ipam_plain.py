"""What is known of addresses, as plain data for programs. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from tortie.api.ipam import IPAMConfig
from tortie.cli.ipam_tables import PROPERTIES, borrowed_rows
from tortie.ipam.report import Books
from tortie.ipam.telling import ToldAddress, usages
from tortie.ipam.tenures import Past
from tortie.ipam.usage import Usage


def usage_plain(books: Books, *, blocks: bool) -> list[dict[str, Any]]:
    """How full each pool is, and each of its blocks when asked for."""
    found = []
    for pool in usages(books, blocks=blocks):
        inner = {"blocks": [_counts(block) for block in pool.blocks]} if blocks else {}
        found.append({"pool": pool.name, **_counts(pool.usage), **inner})
    return found


def address_plain(told: ToldAddress, past: Past) -> dict[str, Any]:
    """Who holds an address, and who did before."""
    plain = {**msgspec.to_builtins(told), "before": [msgspec.to_builtins(one) for one in past.tenures]}
    return {name: value for name, value in plain.items() if value}


def borrowed_plain(books: Books) -> list[dict[str, str]]:
    """Addresses that nodes took from blocks of others."""
    names = ("address", "node", "block", "blockOwner", "allocatedTo")
    return [dict(zip(names, row, strict=True)) for row in borrowed_rows(books)]


def configuration_plain(config: IPAMConfig) -> dict[str, Any]:
    """The settings in force."""
    return {name: getattr(config, field) for field, name in PROPERTIES.items()}


def _counts(counted: Usage) -> dict[str, Any]:
    return {
        "cidr": str(counted.cidr),
        "total": counted.capacity,
        "inUse": counted.in_use,
        "coolingDown": counted.cooling,
        "reserved": counted.reserved,
        "unknown": counted.unknown,
        "free": counted.available,
    }
