"""The tortie command: which words there are, and which module carries each out."""

from __future__ import annotations

import click

from tortie import __version__
from tortie.cli.lazy import Group
from tortie.cli.output import say

COMMANDS = {
    "apply": "tortie.cli.resources:apply",
    "get": "tortie.cli.resources:get",
    "delete": "tortie.cli.resources:delete",
    "ipam": "tortie.cli.ipam:commands",
    "datastore": "tortie.cli.datastore:commands",
    "node": "tortie.cli.node:commands",
    "lab": "tortie.cli.lab:commands",
}
"""Word to module and function; a module is loaded when its word is used."""


@click.group(
    cls=Group,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s", help="Show the version, and end.")
def tortie() -> None:
    """Routed networking and label-based security for containers, virtual machines and hosts."""


@tortie.command()
def version() -> None:
    """Show the version."""
    say(__version__)


def main() -> None:
    """Entry point."""
    tortie(prog_name="tortie")
