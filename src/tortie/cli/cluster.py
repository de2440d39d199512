"""`tortie cluster diags`: what a cluster's datastore holds, for looking at later or elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import click

from tortie import __version__
from tortie.api.codec import to_mapping
from tortie.api.kinds import KINDS
from tortie.base.clock import SystemClock
from tortie.cli import ipam_tables
from tortie.cli.connection import or_exit, warn_unreadable_once, with_datastore, with_location
from tortie.cli.diagnostics import write_archive
from tortie.cli.everywhere import location_options
from tortie.cli.output import Format, say, structured
from tortie.datastore import archive, migration
from tortie.datastore.contract import Datastore
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore
from tortie.ipam.report import confirmed, read_books
from tortie.selector.check import selector_problem

Files = list[tuple[str, bytes]]


@click.group("cluster", params=location_options())
def commands() -> None:
    """The cluster as a whole."""


@commands.command()
@click.option(
    "--log-dir",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder to write to; the current one when not given.",
)
@with_location
def diags(log_dir: Path, location: Location) -> None:
    """Gather every resource, all address records and their check, in one archive.

    `tortie node diags` does the same for one host.

    \b
      tortie cluster diags
    """
    files = with_datastore(location, gather)
    path = or_exit(lambda: write_archive(log_dir, "tortie-cluster", iter(files)))
    say(f"Diagnostics written to {path}")


async def gather(datastore: Datastore) -> Files:
    """Every file and its content."""
    store = ResourceStore(datastore, SystemClock(), selector_problem, unreadable=warn_unreadable_once())
    files: Files = [("version", f"tortie {__version__}\n".encode())]
    for kind in KINDS.values():
        items = [to_mapping(resource) for resource in await store.list(kind.kind)]
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        files.append((f"resources/{kind.plural}.yaml", f"{structured(document, Format.YAML)}\n".encode()))
    books = await read_books(datastore, store, SystemClock(), Random())
    report = confirmed(books, books, locked=False)
    files += [
        ("ipam/usage", f"{ipam_tables.usage_table(books, blocks=True)}\n".encode()),
        ("ipam/addresses", f"{ipam_tables.every_address(books)}\n".encode()),
        ("ipam/check", f"{ipam_tables.report_text(report, books)}\n".encode()),
    ]
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    files.append(("datastore.jsonl", b"".join(archive.write_archive(await migration.take(datastore, taken)))))
    return files
