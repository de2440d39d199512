"""Telling people how a write went: one line for each object as it happens, then what could not be done and why."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec

from tortie.api.codec import to_mapping
from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import Problem
from tortie.cli.connection import FAILED, UNAVAILABLE
from tortie.cli.output import Format, complain, say, structured
from tortie.cli.personality import PERSONALITY, has_own_voice, program
from tortie.cli.writing import Outcomes, Written

if TYPE_CHECKING:
    from tortie.cli.manifests import Manifests

WORDS = {
    "apply": "configured",
    "create": "created",
    "replace": "replaced",
    "patch": "patched",
    "edit": "edited",
    "label": "labeled",
    "annotate": "annotated",
}
"""Verb to what has happened to an object that it changed."""

UNASKED = {"apply": "created or configured"}
"""What may happen to an object, where no datastore is asked what it holds."""

NOTES = {"": "", "client": " (dry run)", "server": " (server dry run)"}
"""What stands behind each line, by kind of dry run."""


class Showing(msgspec.Struct, frozen=True):
    """What to show of a write.

    Args:
        verb: the word that asked for it.
        output: `yaml`, `json`, `name`, or empty for a sentence.
        dry_run: `client`, `server`, or empty when it is meant.
        asked: the object as the command line names it, where it names one.
        values: labels or annotations that are set, or removed (None).
    """

    verb: str
    output: str = ""
    dry_run: str = ""
    asked: str = ""
    values: dict[str, str | None] = {}


class Reporter:
    """How `tortie` speaks; other personalities of the command say the same in their users' words."""

    careful = True
    """Nothing is written unless everything can be."""

    merges_json = False
    """A JSON patch that is a map is taken as a merge patch."""

    def forbids(self, key: ResourceKey) -> str:
        """Why an object may not be written by this command; empty when it may."""
        return ""

    def warn(self, warnings: Iterable[str]) -> None:
        """What people should know though it stops nothing."""
        for warning in warnings:
            complain(f"warning: {warning}")

    def invalid(self, showing: Showing, problems: Sequence[Problem]) -> None:
        """What is wrong with the input."""
        for problem in problems:
            complain(str(problem))

    def empty(self, showing: Showing, where: str, *, allowed: bool) -> NoReturn:
        """There is nothing to do, which ends the command."""
        if allowed:
            sys.exit(0)
        complain(f"there is nothing to {showing.verb} in {where}; allow that with --skip-empty")
        sys.exit(FAILED)

    def told(self, showing: Showing, written: Written) -> None:
        """One object, when it has been written."""
        if showing.output == Format.NAME:
            say(short(written.key))
        elif not showing.output:
            say(f"{shown(written.key)} {_happened(showing, written.outcome)}{NOTES[showing.dry_run]}")

    def checked(self, showing: Showing, manifests: Manifests) -> int:
        """What files hold that were only looked at; their problems have been told. The status to end with."""
        if manifests.problems:
            complain(f"{manifests.valid} valid, {manifests.invalid} invalid")
            return FAILED
        for resource in manifests.resources:
            self.told(showing, Written(resource.key, "valid"))
        complain(f"{manifests.valid} valid")
        return 0

    def finish(self, showing: Showing, outcomes: Outcomes, problems: Sequence[Problem] = ()) -> int:
        """What was written if it is asked for, what was not, and why; the status to end with.

        Args:
            problems: what was wrong with the input, and has been told.
        """
        show_resources(showing, outcomes)
        for refused in outcomes.refused:
            for problem in refused.problems:
                complain(str(problem))
        if outcomes.refused or outcomes.left or problems:
            for line in _summary(showing.verb, outcomes):
                complain(line)
        return status(outcomes, problems)


def reporter() -> Reporter:
    """The personality of the running command."""
    context = click.get_current_context(silent=True)
    place: str | None = context.meta.get(PERSONALITY) if context else None
    if place is None:
        return Reporter()
    module, name = place.split(":")
    found: Reporter = getattr(importlib.import_module(module), name)()
    return found


def tell_unmatched(outcomes: Outcomes) -> None:
    """Say that labels or a kind chose nothing, when that is so; not all can tell silence from success."""
    if outcomes.total == 0 and has_own_voice():
        complain("nothing matched")


def status(outcomes: Outcomes, problems: Sequence[Problem] = ()) -> int:
    """The exit code that says how it went."""
    if outcomes.unavailable:
        return UNAVAILABLE
    return FAILED if outcomes.refused or outcomes.left or problems else 0


def show_resources(showing: Showing, outcomes: Outcomes) -> None:
    """The written objects as YAML or JSON, when that is asked for."""
    if showing.output in (Format.YAML, Format.JSON):
        found = [one.resource for one in outcomes.written if one.resource is not None]
        say(structured(document(found), Format(showing.output)))


def document(found: Sequence[Resource]) -> dict[str, object]:
    """One object as it is, several as a list object."""
    if len(found) == 1:
        return to_mapping(found[0])
    return {"apiVersion": "projectcalico.org/v3", "kind": "List", "items": [to_mapping(one) for one in found]}


def shown(key: ResourceKey) -> str:
    """`networkpolicy shop/db`."""
    return f"{key.kind.lower()} {key.namespace}/{key.name}" if key.namespace else f"{key.kind.lower()} {key.name}"


def short(key: ResourceKey) -> str:
    """`networkpolicy/db`, as other commands take it."""
    return f"{key.kind.lower()}/{key.name}"


def _happened(showing: Showing, outcome: str) -> str:
    if outcome == "unasked":
        return UNASKED.get(showing.verb, WORDS[showing.verb])
    if outcome == "changed":
        return WORDS[showing.verb]
    if outcome == "deleted" and showing.dry_run:
        return "would be deleted"
    return "exists, skipped" if outcome == "skipped" else outcome


def _summary(verb: str, outcomes: Outcomes) -> Iterator[str]:
    """How far it came: what was written has been told; what was not, and what nobody knows of, is named."""
    done = "deleted" if verb == "delete" else "written"
    changed = [one for one in outcomes.written if one.outcome not in ("unchanged", "skipped")]
    if outcomes.unknown:
        yield unknown_outcome(outcomes.unknown, done)
    elif not changed:
        yield "nothing was written"
        return
    missing = [one.key for one in outcomes.refused if one.key != outcomes.unknown] + list(outcomes.left)
    named = f"; not {done}: {', '.join(map(str, missing))}" if missing else ""
    remedy = "run it again when the datastore answers" if outcomes.unavailable else "correct that, and run it again"
    yield f"{len(outcomes.written)} of {outcomes.total} {done}{named}; {remedy}"


def unknown_outcome(key: ResourceKey, done: str = "written") -> str:
    """That nobody knows what became of a write, and how to see."""
    scope = f" -n {key.namespace}" if key.namespace else ""
    look = f"{program()} get {key.kind.lower()} {key.name}{scope} -o yaml"
    return f"whether {key} was {done} is unknown: the datastore was asked and did not answer; see `{look}`"
