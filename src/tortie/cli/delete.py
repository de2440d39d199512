"""`tortie delete`: by kind and name, by labels, or what files name; nodes, pools and services with what is theirs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import msgspec

from tortie.api.builtin import ALLOW_PROFILE, TIERS
from tortie.base.clock import SystemClock
from tortie.base.errors import Problem
from tortie.cli.belongings import belongings, remover, told_addresses
from tortie.cli.circumstances import before_the_first_write, warnings_after, warnings_before
from tortie.cli.completing import complete_words
from tortie.cli.connection import or_exit, warn_unreadable_once, with_datastore, with_location
from tortie.cli.fulfil import locked_out_by
from tortie.cli.inputs import Input
from tortie.cli.labels import label_selector
from tortie.cli.manifests import Named, read_names
from tortie.cli.options import DryRunCommand, dry_run_option, input_options, name_option, selector_option
from tortie.cli.origin import force_option, origin, why_option
from tortie.cli.personality import has_own_voice
from tortie.cli.plan import Plan, forbidden, plan_deletions, rehearse
from tortie.cli.report import Showing, reporter, tell_unmatched
from tortie.cli.selection import Selection, selection
from tortie.cli.writing import Outcomes, Written, carry_out, foretold, nothing_done
from tortie.datastore.contract import Datastore
from tortie.datastore.location import Location
from tortie.datastore.migration import refuse_while_importing
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem
from tortie.selector.selector import Selector

BUILT_IN = frozenset({ALLOW_PROFILE.key, *(tier.key for tier in TIERS)})
"""What `--all` and labels do not mean, since it cannot be deleted."""


class Choice(msgspec.Struct, frozen=True):
    """What to delete.

    Args:
        names: these objects.
        among: or those of the stored ones, with labels that match.
        problems: what cannot be understood of the input, so that nothing is deleted.
        skip_absent: absence is no error.
    """

    names: tuple[Named, ...] = ()
    among: Selection | None = None
    labels: Selector | None = None
    problems: tuple[Problem, ...] = ()
    skip_absent: bool = False


@click.command(cls=DryRunCommand)
@click.argument("words", nargs=-1, metavar="[KIND NAME... | KIND/NAME...]", shell_complete=complete_words)
@input_options
@selector_option
@click.option("--all", "everything", is_flag=True, help="All of the kind, in the namespace.")
@click.option("-A", "--all-namespaces", is_flag=True, help="With --all or -l: of every namespace.")
@click.option("-s", "--skip-not-exists", "--ignore-not-found", is_flag=True, help="Absence is no error.")
@dry_run_option
@name_option
@why_option
@force_option
@with_location
def delete(
    words: tuple[str, ...],
    given: Input,
    selector: str | None,
    everything: bool,
    all_namespaces: bool,
    skip_not_exists: bool,
    dry_run: str,
    output: str | None,
    location: Location,
) -> None:
    """Delete resources by kind and name, by their labels, or those that files name.

    A node goes with its endpoints, addresses and own settings, a pool with its blocks, a service with its slices:
    --dry-run tells which.

    \b
      tortie delete networkpolicy db web -n shop
      tortie delete -f policies.yaml
      tortie delete networksets -l team=web -A --dry-run
    """
    showing = Showing("delete", output or "", dry_run)
    if given.paths and (words or selector or everything):
        raise click.UsageError("name what to delete by -f, or by kind and name, not by both")
    if given.paths:
        names, problems = read_names(given)
        choice = Choice(tuple(names), problems=tuple(problems))
    else:
        choice = or_exit(lambda: _chosen(words, given.namespace, all_namespaces, selector, everything))
    delete_chosen(showing, msgspec.structs.replace(choice, skip_absent=skip_not_exists), given, location)


def delete_chosen(showing: Showing, choice: Choice, given: Input, location: Location) -> None:
    """Judge a deletion against the datastore and carry it out, or say what would be done; ends with the status."""
    voice = reporter()
    if choice.problems:
        voice.invalid(showing, choice.problems)
    elif not choice.names and choice.among is None:
        voice.empty(showing, ", ".join(map(str, given.paths)), allowed=given.skip_empty)
    if showing.dry_run == "client" and choice.among is None:
        outcomes = _unasked(showing, choice)
    else:
        outcomes = with_datastore(location, lambda datastore: _delete(datastore, choice, showing))
    if choice.among is not None:
        tell_unmatched(outcomes)
    if code := voice.finish(showing, outcomes, choice.problems):
        sys.exit(code)


def _unasked(showing: Showing, choice: Choice) -> Outcomes:
    """What is known without a datastore."""
    if choice.problems:
        return Outcomes(left=tuple(named.key for named in choice.names))
    outcomes = Outcomes(tuple(Written(named.key, "deleted") for named in choice.names))
    for written in outcomes.written:
        reporter().told(showing, written)
    return outcomes


def _chosen(
    words: Sequence[str], namespace: str, all_namespaces: bool, selector: str | None, everything: bool
) -> Choice:
    if not words:
        command = click.get_current_context().command_path
        raise click.UsageError(f"name what to delete: {command} KIND NAME, or {command} -f FILE")
    among = selection(words, namespace, all_namespaces)
    if among.keys is not None and (selector or everything):
        raise click.UsageError("--all and -l choose among all of a kind: leave the names out")
    if among.keys is not None:
        return Choice(tuple(Named(key) for key in among.keys))
    if not (selector or everything):
        raise click.UsageError(f"name which {words[0]} to delete, or choose them with -l SELECTOR or --all")
    return Choice(among=among, labels=label_selector(selector) if selector else None)


async def _delete(datastore: Datastore, choice: Choice, showing: Showing) -> Outcomes:
    store = ResourceStore(
        datastore, SystemClock(), selector_problem, unreadable=warn_unreadable_once(), origin=origin()
    )
    voice = reporter()
    with before_the_first_write():
        await refuse_while_importing(datastore)
        names = choice.names or await _matching(store, choice)
        plan = await _judged(store, choice, names)
        if choice.problems or (plan.refusals and voice.careful):
            return nothing_done(plan)
        if lost := await locked_out_by(store, plan):
            if not showing.dry_run and has_own_voice():
                return nothing_done(Plan(plan.steps, (*plan.refusals, *lost)))
            voice.warn([str(problem) for one in lost for problem in one.problems])
        addresses = await told_addresses(datastore, store, plan, foretold=bool(showing.dry_run))
        voice.warn([*await warnings_before(store, plan), *addresses])
        along = await belongings(store, plan) if showing.dry_run else ()
    if showing.dry_run:
        outcomes = foretold(plan, lambda written: voice.told(showing, written))
        for key in along:
            voice.told(showing, Written(key, "deleted"))
    else:
        remove = remover(datastore, store)
        outcomes = await carry_out(store, plan, lambda written: voice.told(showing, written), remove)
    voice.warn(warnings_after(plan, outcomes))
    return _with_absent(outcomes, names)


async def _judged(store: ResourceStore, choice: Choice, names: Sequence[Named]) -> Plan:
    refused, allowed = forbidden(reporter().forbids, names)
    planned = await plan_deletions(store, allowed, skip_absent=choice.skip_absent)
    return await rehearse(store, Plan(planned.steps, (*refused, *planned.refusals)))


def _with_absent(outcomes: Outcomes, names: Sequence[Named]) -> Outcomes:
    """What was not there counts as handled where that is no error."""
    handled = {*(one.key for one in outcomes.written), *(one.key for one in outcomes.refused), *outcomes.left}
    absent = tuple(Written(named.key, "skipped") for named in names if named.key not in handled)
    return msgspec.structs.replace(outcomes, written=outcomes.written + absent)


async def _matching(store: ResourceStore, choice: Choice) -> list[Named]:
    if choice.among is None:
        return []
    found = [one for kind in choice.among.kinds for one in await store.list(kind, choice.among.namespace)]
    return [
        Named(one.key)
        for one in found
        if one.key not in BUILT_IN and (choice.labels is None or choice.labels.matches(one.metadata.labels))
    ]
