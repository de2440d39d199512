"""From wishes to outcomes: judged as a whole against the datastore, then carried out, or only told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tortie.base.clock import SystemClock
from tortie.cli.circumstances import before_the_first_write, warnings_after, warnings_before
from tortie.cli.connection import end_without_folder, is_missing, or_exit, with_store
from tortie.cli.manifests import Manifests
from tortie.cli.personality import has_own_voice
from tortie.cli.plan import HOST_KINDS, Plan, Refusal, Wish, forbidden, lock_out, plan_writes, rehearse
from tortie.cli.report import WORDS, Showing, reporter
from tortie.cli.writing import Outcomes, Written, carry_out, foretold, nothing_done
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.location import Location
from tortie.datastore.migration import refuse_while_importing
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

Result = TypeVar("Result")
Work = Callable[[ResourceStore], Awaitable[Result]]

CREATING = frozenset({"apply", "create", "diff"})
"""Verbs that may meet a datastore that does not exist yet."""

NOTHING = Manifests()


def fulfil(showing: Showing, wishes: Sequence[Wish], location: Location, source: Manifests = NOTHING) -> None:
    """Judge wishes against the datastore and carry them out, or say what would be done; ends with the status.

    Args:
        source: where they come from; its problems have been told, and nothing is written if there are any.
    """
    if showing.dry_run == "client":
        outcomes = _unasked(showing, wishes, source)
    elif refused := _refused_everywhere(showing, wishes, location, source):
        outcomes = nothing_done(refused)
    else:
        outcomes = ask(location, showing, source, lambda store: fulfil_in(store, showing, wishes, source))
    if code := reporter().finish(showing, outcomes, source.problems):
        sys.exit(code)


def ask(location: Location, showing: Showing, source: Manifests, work: Work[Result]) -> Result:
    """Do work on the datastore; a file that need not be there yet is made only to be written."""
    if showing.verb not in CREATING or not is_missing(location):
        return with_store(location, work)
    if showing.verb in WORDS:
        end_without_folder(location)
    if source.problems or showing.dry_run or showing.verb not in WORDS:
        return _in_nothing(work)
    return with_store(location, work, create=True)


async def fulfil_in(
    store: ResourceStore, showing: Showing, wishes: Sequence[Wish], source: Manifests = NOTHING
) -> Outcomes:
    """Judge wishes against an open datastore, and carry them out unless it is a dry run or something is wrong."""
    voice = reporter()
    with before_the_first_write():
        await refuse_while_importing(store.datastore)
        plan = await rehearse(store, await _judged(store, wishes, source))
        if source.problems or (plan.refusals and voice.careful):
            return nothing_done(plan)
        if lost := await locked_out_by(store, plan):
            if not showing.dry_run and has_own_voice():
                return nothing_done(Plan(plan.steps, (*plan.refusals, *lost)))
            voice.warn([str(problem) for one in lost for problem in one.problems])
        if not showing.dry_run and any(wish.may_create for wish in wishes):
            await store.ensure_initialized()
        voice.warn(await warnings_before(store, plan))
    if showing.dry_run:
        outcomes = foretold(plan, lambda written: voice.told(showing, written))
    else:
        outcomes = await carry_out(store, plan, lambda written: voice.told(showing, written))
    voice.warn(warnings_after(plan, outcomes))
    return outcomes


async def locked_out_by(store: ResourceStore, plan: Plan) -> list[Refusal]:
    """A refusal for what a plan would take from hosts."""
    # The analysis compiles policy, which few writes need.
    if not any(step.key.kind in HOST_KINDS and step.changes for step in plan.steps):
        return []
    from tortie.cli.lockout import locked_out

    lost = await locked_out(store, plan)
    key = next(step.key for step in plan.steps if step.key.kind in HOST_KINDS and step.changes)
    return [lock_out(key, lost)] if lost else []


def _unasked(showing: Showing, wishes: Sequence[Wish], source: Manifests) -> Outcomes:
    """What is known without a datastore."""
    if source.problems:
        return Outcomes(left=tuple(wish.key for wish in wishes))
    voice = reporter()
    refused, allowed = forbidden(voice.forbids, wishes)
    written = tuple(Written(wish.key, "unasked", wish.make(None)) for wish in allowed)
    for one in written:
        voice.told(showing, one)
    return Outcomes(written, tuple(refused))


async def _judged(store: ResourceStore, wishes: Sequence[Wish], source: Manifests) -> Plan:
    """How to carry wishes out, and which this personality of the command or the datastore refuses."""
    refused, allowed = forbidden(reporter().forbids, wishes)
    planned = await plan_writes(store, allowed, source.broken)
    return Plan(planned.steps, (*refused, *planned.refusals))


def _refused_everywhere(showing: Showing, wishes: Sequence[Wish], location: Location, source: Manifests) -> Plan | None:
    """What not even an empty datastore takes, so that none is made for it."""
    if showing.verb not in CREATING or not is_missing(location) or source.problems or not reporter().careful:
        return None
    plan = _in_nothing(lambda store: _judged(store, wishes, source))
    return plan if plan.refusals else None


def _in_nothing(work: Work[Result]) -> Result:
    """Do work on a datastore that holds nothing."""

    async def run() -> Result:
        datastore = EmbeddedDatastore.open_memory()
        try:
            return await work(ResourceStore(datastore, SystemClock(), selector_problem))
        finally:
            await datastore.close()

    return or_exit(lambda: asyncio.run(run()))
