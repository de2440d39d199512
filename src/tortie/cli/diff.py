"""`tortie diff`: what applying files would change, as a unified diff of YAML."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import unified_diff

import click

from tortie.api.codec import to_mapping
from tortie.api.resource import Resource
from tortie.cli.apply import read_or_exit
from tortie.cli.connection import UNAVAILABLE, with_location
from tortie.cli.fulfil import ask
from tortie.cli.inputs import Input
from tortie.cli.options import input_options
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
@input_options
@with_location
def diff(given: Input, location: Location) -> None:
    """Show what `tortie apply` of the same files would change.

    The exit code is 0 for no change, 1 for changes, 2 when the files cannot be applied.

    \b
      tortie diff -f policies.yaml || tortie apply -f policies.yaml
    """
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


def _lines(step: Step) -> Iterator[str]:
    place = "/".join(filter(None, (step.key.kind.lower(), step.key.namespace, step.key.name)))
    return unified_diff(_text(step.before), _text(step.after), f"stored/{place}", f"wanted/{place}", lineterm="")


def _text(resource: Resource | None) -> list[str]:
    return [] if resource is None else structured(to_mapping(resource), Format.YAML).splitlines()


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return click.style(line, fg=colour) if colour and sys.stdout.isatty() else line
