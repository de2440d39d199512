"""`tortie ipam usage`: how much of the addresses each pool, node and namespace uses."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from tortie.cli.connection import with_location
from tortie.cli.ipam_access import read_all, with_access
from tortie.cli.options import structured_option
from tortie.cli.output import Format, aligned, say, structured
from tortie.datastore.location import Location
from tortie.ipam.report import Books
from tortie.ipam.utilisation import namespace_shares, node_shares, pool_shares

GROUPINGS = ("pool", "node", "namespace")


@click.command("usage")
@click.option("--by", "grouping", type=click.Choice(GROUPINGS), help="One of the tables; all by default.")
@structured_option
@with_location
def usage(grouping: str | None, output: Format | None, location: Location) -> None:
    """Show how much of the addresses each pool, node and namespace uses.

    \b
      tortie ipam usage
      tortie ipam usage --by node -o json
    """
    books = with_access(location, read_all)
    wanted = (grouping,) if grouping else GROUPINGS
    if output:
        plain = {name: _plain(books, name) for name in wanted}
        say(structured(plain[grouping] if grouping else plain, output))
    else:
        say("\n\n".join(_table(books, name) for name in wanted))


def _table(books: Books, grouping: str) -> str:
    if grouping == "pool":
        headings = ["POOL", "CIDR", "BLOCKS", "IPS TOTAL", "IN USE", "COOLING DOWN", "RESERVED", "FREE", "USED"]
        return aligned(headings, [_pool_row(row) for row in _plain(books, grouping)])
    if grouping == "node":
        headings = ["NODE", "FAMILY", "BLOCKS", "IPS TOTAL", "IN USE", "BORROWED", "LENT", "FREE"]
        return aligned(headings, [[str(cell) for cell in row.values()] for row in _plain(books, grouping)])
    return aligned(
        ["NAMESPACE", "FAMILY", "IN USE"], [[str(cell) for cell in row.values()] for row in _plain(books, grouping)]
    )


def _pool_row(row: dict[str, Any]) -> list[str]:
    total, used = row["capacity"], row["capacity"] - row["available"]
    counts = [f"{row[name]:.5g}" for name in ("capacity", "inUse", "cooling", "reserved", "available")]
    return [row["pool"], row["cidr"], str(row["blocks"]), *counts, f"{100 * used // total}%"]


def _plain(books: Books, grouping: str) -> list[dict[str, Any]]:
    if grouping == "pool":
        shares = pool_shares(books.snapshot, books.pools, books.reserved)
        return [
            {
                "pool": share.name,
                "cidr": str(share.usage.cidr),
                "blocks": share.blocks,
                "capacity": share.usage.capacity,
                "inUse": share.usage.in_use,
                "borrowed": share.usage.borrowed,
                "cooling": share.usage.cooling,
                "reserved": share.usage.reserved,
                "available": share.usage.available,
            }
            for share in shares
        ]
    rows = node_shares(books.snapshot) if grouping == "node" else namespace_shares(books.snapshot)
    return [
        {
            _camel(name): f"IPv{value}" if name == "family" else value
            for name, value in msgspec.structs.asdict(row).items()
        }
        for row in rows
    ]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
