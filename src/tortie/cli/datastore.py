"""`tortie datastore`: moving a whole datastore, and backing it up."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource, Problem
from tortie.base.files import write_named
from tortie.cli.connection import FAILED, or_exit, with_datastore, with_location, with_store
from tortie.cli.everywhere import location_options
from tortie.cli.output import complain, say
from tortie.cli.personality import program
from tortie.cli.progress import progress_bar
from tortie.datastore.archive import Archive, read_archive, write_archive
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.location import Location
from tortie.datastore.migration import bring, give_up_import, is_locked, refuse_while_importing, set_ready, take
from tortie.datastore.policynames import Renaming, rename_policies
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem


@click.group("datastore", params=location_options())
def commands() -> None:
    """The datastore as a whole."""


@commands.group(params=location_options())
def migrate() -> None:
    """Move everything, addresses included, between datastores of any kind; or back it up.

    \b
      tortie datastore migrate lock
      tortie datastore migrate export -f cluster.jsonl
      tortie datastore migrate import -f cluster.jsonl --datastore https://etcd-1:2379
      tortie datastore migrate unlock --datastore https://etcd-1:2379
    """


@migrate.command()
@with_location
def lock(location: Location) -> None:
    """Tell agents and address management to wait; traffic and policy stay as they are.

    \b
      tortie datastore migrate lock
    """

    async def work(datastore: Datastore) -> bool:
        await refuse_while_importing(datastore)
        return await set_ready(_store(datastore), False)

    changed = with_datastore(location, work)
    say("Datastore locked." if changed else "Datastore was locked already.")


@migrate.command()
@click.option("--force", is_flag=True, help="Also when an import was begun and not finished: give it up.")
@with_location
def unlock(force: bool, location: Location) -> None:
    """Let agents and address management go on.

    \b
      tortie datastore migrate unlock
    """

    async def work(datastore: Datastore) -> bool:
        await (give_up_import if force else refuse_while_importing)(datastore)
        return await set_ready(_store(datastore), True)

    changed = with_datastore(location, work)
    say("Datastore unlocked." if changed else "Datastore was not locked.")


@migrate.command()
@click.option(
    "-f",
    "--filename",
    type=click.Path(path_type=Path),
    default=Path("-"),
    help="Where to write; standard output when not given.",
)
@click.option("--unlocked", is_flag=True, help="Do not ask for a lock: a backup, which later changes are not in.")
@with_location
def export(filename: Path, unlocked: bool, location: Location) -> None:
    """Write every key of the datastore, byte for byte, with a checksum, to a file.

    \b
      tortie datastore migrate export > cluster.backup
    """
    if not unlocked and not with_store(location, is_locked):
        complain(
            "the datastore is not locked, so changes made from now on would be lost: "
            f"run `{program()} datastore migrate lock` first, or give --unlocked to make a backup"
        )
        sys.exit(FAILED)
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    archive = with_datastore(location, lambda datastore: take(datastore, taken))
    or_exit(lambda: _write(filename, archive))
    complain(f"{archive.header.keys} keys of revision {archive.header.revision} exported")


@migrate.command("import")
@click.option(
    "-f",
    "--filename",
    type=click.Path(path_type=Path),
    required=True,
    help="What export wrote, or - for standard input.",
)
@with_location
def import_(filename: Path, location: Location) -> None:
    """Write an exported file into an empty datastore, and compare everything afterwards.

    Interrupted, it goes on where it ended when it is run again. The datastore stays locked until
    `tortie datastore migrate unlock`.

    \b
      tortie datastore migrate import -f cluster.backup
    """
    archive = or_exit(lambda: _read(filename))
    with progress_bar("Importing") as progress:
        plan = with_datastore(location, lambda datastore: bring(datastore, archive, progress), create=True)
    say(
        f"{len(plan.missing)} keys imported, {plan.present} were there already, all {archive.header.keys} verified. "
        f"The datastore is locked: look at it, then run `{program()} datastore migrate unlock`."
    )


def _store(datastore: Datastore) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), selector_problem)


def _write(filename: Path, archive: Archive) -> None:
    lines = write_archive(archive)
    try:
        if str(filename) == "-":
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
        else:
            write_named(filename, b"".join(lines), mode=0o600, sync=True)
    except OSError as error:
        raise InvalidResource(Problem(str(filename), "", f"cannot be written: {error.strerror}")) from error


def _read(filename: Path) -> Archive:
    try:
        return read_archive(_lines(filename), str(filename))
    except OSError as error:
        raise InvalidResource(Problem(str(filename), "", f"cannot be read: {error.strerror}")) from error


def _lines(filename: Path) -> Iterable[bytes]:
    if str(filename) == "-":
        yield from sys.stdin.buffer
        return
    with filename.open("rb") as file:
        yield from file


@commands.command("migrate-policy-names")
@with_location
def migrate_policy_names(location: Location) -> None:
    """Rename policies that writers before Calico 3.32 stored as `default.NAME` to NAME.

    Status 1 when another policy has the name already: compare the two and delete one. Also when a policy calls
    itself something else than the key that it is stored under does: look at it, and apply it under its right name.

    \b
      tortie datastore migrate-policy-names
    """

    async def work(datastore: Datastore) -> list[Renaming]:
        await refuse_while_importing(datastore)
        return await rename_policies(datastore)

    renamings = with_datastore(location, work)
    for renaming in renamings:
        _tell_renaming(renaming)
    if any(renaming.stayed for renaming in renamings):
        sys.exit(FAILED)
    if not renamings:
        say("No policy has an old name.")


def _tell_renaming(renaming: Renaming) -> None:
    if renaming.taken:
        complain(f"{renaming.old} keeps its name: {renaming.new} exists and is another policy")
    elif renaming.disagrees:
        complain(
            f"{renaming.old} stays as it is: the value under {resource_key(renaming.old)} calls itself {renaming.new}"
        )
    else:
        say(f"{renaming.old} is now {renaming.new.name}")
