"""`tortie patch`: some fields of stored resources changed in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from tortie.api.codec import to_mapping
from tortie.api.patches import json_patch, merge_patch
from tortie.api.resource import Resource, ResourceKey
from tortie.api.text import read_values
from tortie.base.errors import InvalidResource, Problem, StaleRevision
from tortie.cli.changing import changed
from tortie.cli.completing import complete_words
from tortie.cli.connection import or_exit, with_location
from tortie.cli.fulfil import fulfil
from tortie.cli.options import DryRunCommand, dry_run_option, namespace_option, written_option
from tortie.cli.origin import force_option, why_option
from tortie.cli.plan import Wish
from tortie.cli.report import Showing, reporter
from tortie.cli.selection import selection
from tortie.datastore.location import Location

TYPES = ("merge", "json", "strategic")
"""Kinds of patches; no list of these resources is merged by key, so a strategic patch is a merge patch."""


@click.command(cls=DryRunCommand)
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME... | KIND/NAME...", shell_complete=complete_words)
@click.option("-p", "--patch", "text", help="The patch, in JSON or YAML.")
@click.option("--patch-file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A file with it.")
@click.option(
    "-t",
    "--type",
    "form",
    type=click.Choice(TYPES),
    default="merge",
    show_default=True,
    help="Merge patch (RFC 7386), or JSON patch (RFC 6902); strategic is the same as merge.",
)
@namespace_option
@dry_run_option
@written_option
@why_option
@force_option
@with_location
def patch(
    words: tuple[str, ...],
    text: str | None,
    patch_file: Path | None,
    form: str,
    namespace: str,
    dry_run: str,
    output: str | None,
    location: Location,
) -> None:
    """Change some fields of resources.

    \b
      tortie patch ippool blue -p '{"spec": {"disabled": true}}'
      tortie patch np/db -n shop -t json -p '[{"op": "remove", "path": "/spec/order"}]'
    """
    if (text is None) == (patch_file is None):
        raise click.UsageError("give the patch by --patch or by --patch-file")
    if dry_run == "client":
        raise click.UsageError("what a patch gives depends on what is stored: use --dry-run=server")
    keys = or_exit(lambda: selection(words, namespace).keys)
    if not keys:
        raise click.UsageError("name what to patch: KIND NAME, or KIND/NAME")
    content = or_exit(lambda: _content(text, patch_file))
    change = or_exit(lambda: _change(content, form))
    fulfil(Showing("patch", output or "", dry_run), [_wish(key, change) for key in keys], location)


def _content(text: str | None, file: Path | None) -> Any:
    values = read_values(file.read_text("utf-8-sig") if file else text or "", str(file or "patch"))
    if len(values) != 1:
        raise InvalidResource(Problem("patch", "", f"holds {len(values)} documents", "write one"))
    return values[0].plain


def _change(content: Any, form: str) -> Callable[[Any], Any]:
    is_merge = form != "json" or (isinstance(content, dict) and reporter().merges_json)
    if not is_merge:
        return lambda plain: json_patch(plain, content)
    if not isinstance(content, dict):
        raise InvalidResource(Problem("patch", "", "must be a map of the fields to change", "or say --type json"))
    if directive := _directive(content):
        problem = f"{directive} is not carried out"
        raise InvalidResource(Problem("patch", "", problem, "lists are replaced as a whole; or say --type json"))
    return lambda plain: merge_patch(plain, content)


def _directive(content: Any) -> str:
    """The first of the words that steer a strategic merge."""
    if isinstance(content, list):
        return next(filter(None, map(_directive, content)), "")
    if not isinstance(content, dict):
        return ""
    own = next((name for name in content if name.startswith("$")), "")
    return own or next(filter(None, map(_directive, content.values())), "")


def _wish(key: ResourceKey, change: Callable[[Any], Any]) -> Wish:
    def make(stored: Resource | None) -> Resource:
        assert stored is not None, "a wish that may not create is given what is stored"
        patched = changed(stored, _named(key, change, to_mapping(stored)))
        wanted, current = patched.metadata.resource_version, stored.metadata.resource_version
        if wanted != current:
            raise StaleRevision(str(key), int(wanted) if wanted.isdecimal() else 0, int(current))
        return patched

    return Wish(key, make, may_create=False)


def _named(key: ResourceKey, change: Callable[[Any], Any], plain: Any) -> Any:
    """The changed data; problems name the object that the patch does not fit."""
    try:
        return change(plain)
    except InvalidResource as error:
        raise InvalidResource(
            *(msgspec.structs.replace(one, object=str(key), path=f"patch{one.path}") for one in error.problems)
        ) from error
