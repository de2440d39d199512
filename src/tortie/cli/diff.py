"""`tortie diff`: what applying files would change, as a unified diff of YAML, or as what it means for traffic."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import click

from tortie.api.codec import to_mapping
from tortie.api.resource import Resource
from tortie.cli.apply import read_or_exit
from tortie.cli.connection import UNAVAILABLE, with_location
from tortie.cli.fulfil import ask
from tortie.cli.inputs import Input
from tortie.cli.options import FilePath, input_options
from tortie.cli.output import Format, say, structured
from tortie.cli.plan import Plan, Step, plan_writes, wish_for
from tortie.cli.report import Showing, reporter
from tortie.cli.writing import nothing_done
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore

SAME, DIFFERENT, FAULT = 0, 1, 2
"""Exit codes, as of other programs that compare; 3 is a datastore that does not answer."""

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.option("--meaning", is_flag=True, help="Show what traffic it would open and close, and by which rules.")
@click.option(
    "--flows", type=FilePath(), multiple=True, help="Of the meaning: only for what these files say has happened."
)
@click.option(
    "--against",
    type=FilePath(),
    multiple=True,
    help="Of the meaning: files that hold the whole cluster as it is, in the place of the datastore; repeatable.",
)
@click.option("--revision", default="", metavar="REV", help="Of the meaning: compare with the files as git has them.")
@click.option("--offline", is_flag=True, help="With --revision: the files are all there is; no datastore is asked.")
@click.option(
    "--forbid",
    type=click.Choice(["opens", "closes", "opens-from-outside", "opens-to-outside"]),
    multiple=True,
    help="Of the meaning: end with 4 if any traffic fares so; repeatable.",
)
@click.option("-o", "--output", type=click.Choice(["text", "markdown", "json"]), default="text", help="Of the meaning.")
@input_options
@with_location
def diff(given: Input, location: Location, meaning: bool, **options: Any) -> None:
    """Show what `tortie apply` of the same files would change.

    The exit code is 0 for no change, 1 for changes, 2 when the files cannot be applied, 4 for what is forbidden.

    \b
      tortie diff -f policies.yaml || tortie apply -f policies.yaml
      tortie diff -f policies.yaml --meaning -o markdown
      tortie diff -f policies/ --revision main --meaning --forbid opens-from-outside
      tortie diff -f new/ --against old/ --meaning --forbid opens
      tortie diff -f policies.yaml --flows flows.jsonl --forbid closes
    """
    if meaning or options["against"] or options["revision"] or options["flows"]:
        _meaning(given, location, options)
        return
    showing = Showing("diff", dry_run="server")
    try:
        manifests = read_or_exit(showing, given)
        wishes = [wish_for(item) for item in manifests.items]

        async def work(store: ResourceStore) -> Plan:
            return await plan_writes(store, wishes, manifests.broken)

        plan = ask(location, showing, manifests, work)
    except SystemExit as error:
        sys.exit(error.code if error.code in (0, UNAVAILABLE) else FAULT)
    if plan.refusals or manifests.problems:
        reporter().finish(showing, nothing_done(plan), manifests.problems)
        sys.exit(FAULT)
    changes = [step for step in plan.steps if step.changes]
    for step in changes:
        say("\n".join(map(_coloured, _lines(step))))
    sys.exit(DIFFERENT if changes else SAME)


def _meaning(given: Input, location: Location, options: dict[str, Any]) -> None:
    # The analysis is not needed by those who compare texts.
    from tortie.cli.comparing import Wanted, compare
    from tortie.cli.meaning import Shape

    wanted = Wanted(
        against=options["against"],
        revision=options["revision"],
        flows=options["flows"],
        forbidden=options["forbid"],
        offline=options["offline"],
        shape=Shape(options["output"]),
    )
    try:
        code = compare(given, location, wanted)
    except SystemExit as error:
        code = UNAVAILABLE if error.code == UNAVAILABLE else FAULT
    sys.exit(code)


def _lines(step: Step) -> Iterator[str]:
    place = "/".join(filter(None, (step.key.kind.lower(), step.key.namespace, step.key.name)))
    return unified_diff(_text(step.before), _text(step.after), f"stored/{place}", f"wanted/{place}", lineterm="")


def _text(resource: Resource | None) -> list[str]:
    return [] if resource is None else structured(to_mapping(resource), Format.YAML).splitlines()


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return click.style(line, fg=colour) if colour and sys.stdout.isatty() else line
