"""`tortie apply`, `create` and `replace`: the datastore made like the files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tortie.base.errors import Problem
from tortie.cli.connection import with_location, with_store
from tortie.cli.inputs import Input
from tortie.cli.manifests import Manifests, scan_manifests
from tortie.cli.options import DryRunCommand, dry_run_option, input_options, written_option
from tortie.cli.plan import Plan, Wish, forbidden, plan_writes, wish_for
from tortie.cli.report import Reporter, Showing, reporter
from tortie.cli.writing import Outcomes, Written, carry_out, foretold, nothing_done
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore


def _writing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    return input_options(dry_run_option(written_option(with_location(function))))


@click.command(cls=DryRunCommand)
@_writing_options
def apply(given: Input, dry_run: str, output: str | None, location: Location) -> None:
    """Create resources, or change them to what files say.

    Nothing is written unless everything is valid. A file that names a resourceVersion overwrites that version only.

    \b
      tortie apply -f policies.yaml
      tortie apply -f manifests/ -R --dry-run
      tortie get networkpolicies -A -o yaml | tortie apply -f - --datastore other.db
    """
    write_files(Showing("apply", output or "", dry_run), given, location)


@click.command(cls=DryRunCommand)
@_writing_options
@click.option("--skip-exists", is_flag=True, help="What exists already is left alone, and no error.")
def create(given: Input, dry_run: str, output: str | None, location: Location, skip_exists: bool) -> None:
    """Create resources that do not exist yet."""
    write_files(Showing("create", output or "", dry_run), given, location, skip=skip_exists)


@click.command(cls=DryRunCommand)
@_writing_options
def replace(given: Input, dry_run: str, output: str | None, location: Location) -> None:
    """Change resources that exist to what files say."""
    write_files(Showing("replace", output or "", dry_run), given, location)


def write_files(showing: Showing, given: Input, location: Location, *, skip: bool = False) -> None:
    """Read files, work out what to write, tell everything that is wrong, and write if nothing is."""
    manifests = read_or_exit(showing, given)
    wishes = [
        wish_for(item, may_create=showing.verb != "replace", may_change=showing.verb != "create" or skip, skip=skip)
        for item in manifests.items
    ]
    fulfil(showing, wishes, location, manifests.problems, create=showing.verb != "replace")


def read_or_exit(showing: Showing, given: Input) -> Manifests:
    """What the files hold, its warnings and problems told; ends the command when they hold nothing at all."""
    if not given.paths:
        raise click.UsageError(f"name what to {showing.verb}: -f FILE, -f FOLDER or -f -")
    manifests = scan_manifests(given)
    voice = reporter()
    voice.warn(manifests.warnings)
    if manifests.problems:
        voice.invalid(showing, manifests.problems)
    elif not manifests.items:
        voice.empty(showing, ", ".join(map(str, given.paths)), allowed=given.skip_empty)
    return manifests


def fulfil(
    showing: Showing,
    wishes: Sequence[Wish],
    location: Location,
    problems: Sequence[Problem] = (),
    *,
    create: bool = False,
) -> None:
    """Judge wishes against the datastore and carry them out, or say what would be done; ends with the status.

    Args:
        problems: what is wrong with the input and has been told, so that nothing is written.
        create: make the datastore's file if there is none.
    """
    voice = reporter()
    if showing.dry_run == "client" or (problems and isinstance(location, Path) and not location.exists()):
        outcomes = _unasked(showing, voice, wishes, problems)
    else:
        outcomes = with_store(
            location,
            lambda store: fulfil_in(store, showing, wishes, problems),
            create=create and not showing.dry_run and not problems,
        )
    if code := voice.finish(showing, outcomes, problems):
        sys.exit(code)


async def fulfil_in(
    store: ResourceStore, showing: Showing, wishes: Sequence[Wish], problems: Sequence[Problem] = ()
) -> Outcomes:
    """Judge wishes against an open datastore, and carry them out unless it is a dry run or something is wrong."""
    voice = reporter()
    refused, allowed = forbidden(voice.forbids, wishes)
    planned = await plan_writes(store, allowed)
    plan = Plan(planned.steps, (*refused, *planned.refusals))
    if problems or (plan.refusals and voice.careful):
        return nothing_done(plan)
    if showing.dry_run:
        return foretold(plan, lambda written: voice.told(showing, written))
    if any(wish.may_create for wish in wishes):
        await store.ensure_initialized()
    return await carry_out(store, plan, lambda written: voice.told(showing, written))


def _unasked(showing: Showing, voice: Reporter, wishes: Sequence[Wish], problems: Sequence[Problem]) -> Outcomes:
    """What is known without a datastore."""
    if problems:
        return Outcomes(left=tuple(wish.key for wish in wishes))
    refused, allowed = forbidden(voice.forbids, wishes)
    written = tuple(Written(wish.key, "changed", wish.make(None)) for wish in allowed)
    for one in written:
        voice.told(showing, one)
    return Outcomes(written, tuple(refused))
