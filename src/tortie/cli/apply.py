"""`tortie apply`, `create` and `replace`: the datastore made like the files."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tortie.base.clock import SystemClock
from tortie.cli.connection import or_exit, with_location, with_store
from tortie.cli.inputs import Input
from tortie.cli.manifests import Manifests, scan_manifests
from tortie.cli.options import DryRunCommand, dry_run_option, input_options, written_option
from tortie.cli.plan import Plan, Wish, forbidden, plan_writes, wish_for
from tortie.cli.report import WORDS, Showing, reporter
from tortie.cli.writing import Outcomes, Written, carry_out, foretold, nothing_done
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

Result = TypeVar("Result")
Work = Callable[[ResourceStore], Awaitable[Result]]

CREATING = frozenset({"apply", "create", "diff"})
"""Verbs that may meet a datastore that does not exist yet."""

NOTHING = Manifests()


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
    """Create resources that do not exist yet.

    \b
      tortie create -f policy.yaml
      tortie create -f policies/ -R --skip-exists
    """
    write_files(Showing("create", output or "", dry_run), given, location, skip=skip_exists)


@click.command(cls=DryRunCommand)
@_writing_options
def replace(given: Input, dry_run: str, output: str | None, location: Location) -> None:
    """Change resources that exist to what files say.

    \b
      tortie replace -f policy.yaml
    """
    write_files(Showing("replace", output or "", dry_run), given, location)


def write_files(showing: Showing, given: Input, location: Location, *, skip: bool = False) -> None:
    """Read files, work out what to write, tell everything that is wrong, and write if nothing is."""
    manifests = read_or_exit(showing, given)
    may_create, may_change = showing.verb != "replace", showing.verb != "create" or skip
    wishes = [wish_for(item, may_create=may_create, may_change=may_change, skip=skip) for item in manifests.items]
    fulfil(showing, wishes, location, manifests)


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


def fulfil(showing: Showing, wishes: Sequence[Wish], location: Location, source: Manifests = NOTHING) -> None:
    """Judge wishes against the datastore and carry them out, or say what would be done; ends with the status.

    Args:
        source: where they come from; its problems have been told, and nothing is written if there are any.
    """
    if showing.dry_run == "client":
        outcomes = _unasked(showing, wishes, source)
    else:
        outcomes = ask(location, showing, source, lambda store: fulfil_in(store, showing, wishes, source))
    if code := reporter().finish(showing, outcomes, source.problems):
        sys.exit(code)


def ask(location: Location, showing: Showing, source: Manifests, work: Work[Result]) -> Result:
    """Do work on the datastore; a file that need not be there yet is made only to be written."""
    if not isinstance(location, Path) or location.exists() or showing.verb not in CREATING:
        return with_store(location, work)
    if source.problems or showing.dry_run or showing.verb not in WORDS:
        return or_exit(lambda: asyncio.run(_in_nothing(work)))
    return with_store(location, work, create=True)


async def fulfil_in(
    store: ResourceStore, showing: Showing, wishes: Sequence[Wish], source: Manifests = NOTHING
) -> Outcomes:
    """Judge wishes against an open datastore, and carry them out unless it is a dry run or something is wrong."""
    voice = reporter()
    refused, allowed = forbidden(voice.forbids, wishes)
    planned = await plan_writes(store, allowed, source.broken)
    plan = Plan(planned.steps, (*refused, *planned.refusals))
    if source.problems or (plan.refusals and voice.careful):
        return nothing_done(plan)
    if showing.dry_run:
        return foretold(plan, lambda written: voice.told(showing, written))
    if any(wish.may_create for wish in wishes):
        await store.ensure_initialized()
    return await carry_out(store, plan, lambda written: voice.told(showing, written))


def _unasked(showing: Showing, wishes: Sequence[Wish], source: Manifests) -> Outcomes:
    """What is known without a datastore."""
    if source.problems:
        return Outcomes(left=tuple(wish.key for wish in wishes))
    voice = reporter()
    refused, allowed = forbidden(voice.forbids, wishes)
    written = tuple(Written(wish.key, "changed", wish.make(None)) for wish in allowed)
    for one in written:
        voice.told(showing, one)
    return Outcomes(written, tuple(refused))


async def _in_nothing(work: Work[Result]) -> Result:
    """Do work on a datastore that holds nothing."""
    datastore = EmbeddedDatastore.open_memory()
    try:
        return await work(ResourceStore(datastore, SystemClock(), selector_problem))
    finally:
        await datastore.close()
