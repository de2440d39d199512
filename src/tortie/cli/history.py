"""`tortie history` and `tortie rollback`: who changed what, when and why, and going back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

import click
import msgspec

from tortie.api.resource import ResourceKey
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.completing import complete_words
from tortie.cli.connection import or_exit, with_datastore, with_location, with_store
from tortie.cli.options import namespace_option, structured_option
from tortie.cli.origin import why_option
from tortie.cli.output import Format, aligned, complain, say, structured
from tortie.cli.selection import Selection, selection
from tortie.datastore.changelog import Content, Entry
from tortie.datastore.contract import Datastore
from tortie.datastore.journal import read_history
from tortie.datastore.keys import resource_key
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore
from tortie.datastore.timeline import UNRECORDED, Return, Step, Stored, returning, timeline, undoing, way_back

TOGETHER = 30
"""Resources that go back in one transaction."""

_HEADINGS = ("CHANGE", "WHEN", "WHO", "WITH", "DID", "WHY")


@click.command()
@click.argument("words", nargs=-1, metavar="[KIND [NAME...] | KIND/NAME...]", shell_complete=complete_words)
@click.option("--diff", "differences", is_flag=True, help="Show what each change did, as a unified diff of YAML.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="So many of the newest.")
@click.option("--change", help="Only what one change did.")
@namespace_option
@structured_option
@with_location
def history(
    words: tuple[str, ...],
    differences: bool,
    limit: int,
    change: str | None,
    namespace: str,
    output: str | None,
    location: Location,
) -> None:
    """Show who changed what, when, with what and why; newest first.

    What clients changed that keep no record, such as calicoctl, is shown as far as it is known.

    \b
      tortie history
      tortie history networkpolicy/db -n shop --diff
      tortie history --change 20260721-140502-x7q2 --diff
    """
    wanted = or_exit(lambda: selection(words, namespace)) if words else None
    steps = with_datastore(location, lambda datastore: _steps(datastore, wanted))
    chosen = [one for one in steps if not change or (one.record and one.record.change == change)][-limit:][::-1]
    if output:
        say(structured([_mapping(step) for step in chosen], Format(output)))
    elif not chosen:
        complain("nothing is recorded of it" if words or change else "nothing is recorded yet")
    elif differences:
        say("\n\n".join("\n".join(_told(step)) for step in chosen))
    else:
        say(aligned(_HEADINGS, [_row(step) for step in chosen]))


@click.command()
@click.argument("words", nargs=-1, metavar="[CHANGE | KIND NAME... | KIND/NAME...]", shell_complete=complete_words)
@click.option("--to", "target", metavar="CHANGE", help="Go back to how it was right after this change.")
@click.option("--force", is_flag=True, help="Also over what others changed since.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@why_option
@namespace_option
@with_location
def rollback(
    words: tuple[str, ...], target: str | None, force: bool, dry_run: bool, namespace: str, location: Location
) -> None:
    """Take a change back, or go back to how things were after one: to the byte, and all at once.

    Nothing is written when somebody has changed one of the resources since. A rollback is a change like any other: it
    is recorded, and can be taken back.

    \b
      tortie rollback 20260721-140502-x7q2
      tortie rollback --to 20260721-140502-x7q2
      tortie rollback networkpolicy/db -n shop --to 20260721-140502-x7q2
    """
    if target is None and len(words) != 1:
        raise click.UsageError("name the change to take back, or where to go back to: see `tortie history`")
    keys = or_exit(lambda: selection(words, namespace).keys) if target is not None and words else ()
    if keys is None:
        raise click.UsageError("name what to roll back: KIND NAME, or KIND/NAME")

    async def work(store: ResourceStore) -> Return:
        back = await _way(store, target or words[0], keys if target is not None else None)
        _refuse(back, force=force)
        await _check(store, back)
        if not dry_run:
            for begin in range(0, len(back.replacements), TOGETHER):
                await store.journal.write_together(back.replacements[begin : begin + TOGETHER])
        return back

    back = with_store(location, work)
    _tell(back, dry_run=dry_run)


async def _steps(datastore: Datastore, wanted: Selection | None) -> list[Step]:
    entries = [one for one in await read_history(datastore) if wanted is None or _is_of(one.record.key, wanted)]
    return timeline(entries, await _stored(datastore, dict.fromkeys(one.record.key for one in entries)))


def _is_of(key: ResourceKey, wanted: Selection) -> bool:
    return key in wanted.keys if wanted.keys is not None else key.kind in wanted.kinds


async def _stored(datastore: Datastore, keys: Mapping[ResourceKey, Any]) -> Stored:
    return {key: await datastore.get(resource_key(key)) for key in keys}


async def _way(store: ResourceStore, change: str, keys: Sequence[ResourceKey] | None) -> Return:
    """How to take a change back; or, where `keys` are given, to what was after it.

    Raises:
        InvalidResource: no such change is recorded.
    """
    entries = await read_history(store.datastore)
    if not any(one.record.change == change for one in entries):
        raise InvalidResource(Problem("rollback", "", f"no change {change!r} is recorded", _nearest(entries)))
    taken = undoing(entries, change) if keys is None else returning(entries, change, keys)
    return way_back(taken, await _stored(store.datastore, taken), entries)


def _nearest(entries: Sequence[Entry]) -> str:
    return f"the newest is {entries[-1].record.change}" if entries else "nothing is recorded at all"


def _refuse(back: Return, *, force: bool) -> None:
    """Raises InvalidResource for what cannot be gone back to, or not without --force."""
    remedy = "look at it with `tortie history --diff`; --force overwrites it"
    problems = [msgspec.structs.replace(one, remedy=remedy) for one in back.overwrites]
    if back.lost or (problems and not force):
        raise InvalidResource(*back.lost, *(() if force else problems))


async def _check(store: ResourceStore, back: Return) -> None:
    """Raises InvalidResource for what would leave something that refers to what is not there."""
    from tortie.cli.plan import references_after
    from tortie.datastore.values import decode_resource

    after = {one.key: one.value and decode_resource(one.key, one.value, 0) for one in back.replacements}
    references = references_after(store, {key: value or None for key, value in after.items()})
    problems: list[Problem] = []
    for key, resource in after.items():
        if resource:
            problems += await references.write_problems(resource, None)
        elif key.kind == "IPPool":
            remedy = f"delete it with `tortie delete ippool {key.name}`, which releases its blocks"
            problems.append(Problem(str(key), "", "did not exist before, and addresses of it may be in use", remedy))
        else:
            problems += await references.delete_problems(key)
    if problems:
        raise InvalidResource(*problems)


def _tell(back: Return, *, dry_run: bool) -> None:
    suffix = " (dry run)" if dry_run else ""
    for one in back.replacements:
        verb = "removed again" if one.value is None else "restored" if one.stored is None else "as before"
        say(f"{one.key} {verb}{suffix}")
    if not back.replacements:
        say("everything is as it was: nothing was written")


def _row(step: Step) -> tuple[str, ...]:
    record = step.record
    if record is None:
        return ("-", "-", "unknown", "-", _deed(step), UNRECORDED.partition(":")[0])
    return (record.change, record.at, record.who or "unknown", record.program or "-", _deed(step), record.why)


def _deed(step: Step) -> str:
    verb = "created" if step.before is None else "deleted" if step.after is None else "changed"
    return f"{verb} {step.key}"


def _told(step: Step) -> Iterator[str]:
    change, at, who, program, deed, why = _row(step)
    yield f"{change}  {at}  {who}  {program}: {deed}"
    if why:
        yield f"    {why if step.record else UNRECORDED}"
    if any(one is not None and one.packed is None for one in (step.before, step.after)):
        yield "    the contents were too large to be kept"
        return
    yield from unified_diff(_text(step.before), _text(step.after), "before", "after", lineterm="")


def _text(kept: Content | None) -> list[str]:
    plain = _plain(kept)
    return [] if plain is None else structured(plain, Format.YAML).splitlines()


def _plain(kept: Content | None) -> Any:
    data = kept.data if kept else None
    if data is None:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"unreadable": data.decode("utf-8", "replace")}


def _mapping(step: Step) -> dict[str, Any]:
    record = step.record
    return {
        "change": record.change if record else None,
        "at": record.at if record else None,
        "who": (record.who or None) if record else None,
        "with": (record.program or None) if record else None,
        "why": (record.why or None) if record else None,
        "recorded": record is not None,
        "kind": step.key.kind,
        "namespace": step.key.namespace or None,
        "name": step.key.name,
        "before": _plain(step.before),
        "after": _plain(step.after),
    }
