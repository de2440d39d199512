"""`tortie edit`: stored resources in the user's own editor, opened again with the errors until they are right."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from tortie.api.resource import ResourceKey
from tortie.base.errors import Problem
from tortie.cli.completing import complete_words
from tortie.cli.connection import FAILED, or_exit, with_location, with_store
from tortie.cli.fulfil import fulfil_in
from tortie.cli.inputs import Input
from tortie.cli.manifests import Manifests, placed, scan_manifests
from tortie.cli.options import namespace_option
from tortie.cli.origin import force_option, why_option
from tortie.cli.output import Format, complain, say, structured
from tortie.cli.personality import program
from tortie.cli.plan import wish_for
from tortie.cli.report import Showing, document, reporter
from tortie.cli.selection import Found, find, selection
from tortie.cli.writing import Outcomes
from tortie.datastore.location import Location

EDITORS = ("TORTIE_EDITOR", "KUBE_EDITOR", "VISUAL", "EDITOR")
"""Variables that name the editor; vi if none does."""

HELP = (
    "Save and leave the editor to write what you changed; lines that begin with # above the object are left out.",
    "An empty file, or no change, writes nothing.",
)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME... | KIND/NAME...", shell_complete=complete_words)
@namespace_option
@why_option
@force_option
@with_location
def edit(words: tuple[str, ...], namespace: str, location: Location) -> None:
    """Change resources in an editor ($EDITOR); what is wrong is shown there, and nothing typed is lost.

    \b
      tortie edit networkpolicy db -n shop
    """
    wanted = or_exit(lambda: selection(words, namespace))
    if wanted.keys is None:
        raise click.UsageError("name what to edit: KIND NAME, or KIND/NAME")
    found = with_store(location, lambda store: find(store, wanted))
    if found.missing or found.problems:
        for sentence in (*found.missing, *found.problems):
            complain(sentence)
        sys.exit(FAILED)
    handle, name = tempfile.mkstemp(prefix="tortie-edit-", suffix=".yaml")
    os.close(handle)
    path = Path(name)
    text = structured(document(found.resources), Format.YAML).rstrip("\n") + "\n"
    try:
        _until_right(path, text, found, namespace, location)
    except SystemExit as error:
        if error.code and _is_worth_keeping(path, text):
            complain(f"what you wrote is kept in {path}: apply it with {program()} apply -f {path}")
        else:
            path.unlink(missing_ok=True)
        raise
    path.unlink()


def _is_worth_keeping(path: Path, text: str) -> bool:
    """Whether somebody has typed something into the file that holds `text` otherwise."""
    return path.exists() and _without_notes(path.read_text()) not in ("", text)


def _until_right(path: Path, text: str, found: Found, namespace: str, location: Location) -> None:
    notes: Sequence[str] = HELP
    while True:
        path.write_text(_with_notes(text, notes))
        _run_editor(path)
        edited = _without_notes(path.read_text())
        if not edited.strip() or edited == text:
            _end_unchanged(path, wrong=notes is not HELP and bool(edited.strip()))
            return
        text = edited
        problems = _written(path, found, namespace, location)
        if not problems:
            return
        notes = [str(problem) for problem in problems]


def _written(path: Path, found: Found, namespace: str, location: Location) -> Sequence[Problem]:
    """Write what the file says; what is wrong with it, when nothing could be written."""
    manifests = scan_manifests(Input((path,), namespace))
    problems = [*manifests.problems, *_strangers(manifests, {one.key for one in found.resources})]
    if problems:
        return problems
    showing = Showing("edit")
    wishes = [wish_for(item, may_create=False) for item in manifests.items]
    outcomes: Outcomes = with_store(location, lambda store: fulfil_in(store, showing, wishes))
    if outcomes.refused and not outcomes.written and not outcomes.unavailable:
        return [problem for refused in outcomes.refused for problem in refused.problems]
    if code := reporter().finish(showing, outcomes):
        sys.exit(code)
    return ()


def _strangers(manifests: Manifests, opened: set[ResourceKey]) -> Iterable[Problem]:
    for item in manifests.items:
        if item.resource.key not in opened:
            problem = Problem(str(item.resource.key), "metadata.name", "was not opened", "an edit cannot rename")
            yield placed(problem, item.document)


def _end_unchanged(path: Path, *, wrong: bool) -> None:
    if wrong:
        complain("nothing was changed after the errors, so nothing was written")
        sys.exit(FAILED)
    say("nothing was changed")


def _run_editor(path: Path) -> None:
    command = editor(os.environ)
    if problem := _editor_problem(command, path):
        complain(f"the editor {command!r} {problem}; name another in EDITOR")
        sys.exit(FAILED)


def _editor_problem(command: str, path: Path) -> str:
    """Let the editor run; what went wrong with it, if anything."""
    try:
        status = subprocess.run([*shlex.split(command), str(path)], check=False).returncode
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    except ValueError as error:
        return f"is no command: {error}"
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with status {status}" if status else ""


def editor(environment: Mapping[str, str]) -> str:
    """The command line of the user's editor."""
    return next((environment[name] for name in EDITORS if environment.get(name)), "vi")


def _with_notes(text: str, notes: Iterable[str]) -> str:
    return "".join(f"# {line}\n" for note in notes for line in note.splitlines()) + "#\n" + text


def _without_notes(text: str) -> str:
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "".join(lines)
