"""The tortie command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from tortie import __version__
from tortie.cli import node, resources
from tortie.cli.output import say

_WITHOUT_LAB = frozenset({"apply", "get", "delete", "node", "version", "--version"})


def version() -> None:
    """Show the version."""
    say(__version__)


def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Show the version, and end.")] = False,
) -> None:
    if show_version:
        version()
        raise typer.Exit


def application(arguments: Sequence[str]) -> typer.Typer:
    """The command tree; the lab, which stands on everything else, is loaded only where it may be asked for."""
    app = typer.Typer(
        name="tortie",
        help="Routed networking and label-based security for containers, virtual machines and hosts.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_top)
    for command in (resources.apply, resources.get, resources.delete, version):
        app.command()(command)
    app.add_typer(node.app, name="node")
    if not arguments or arguments[0] not in _WITHOUT_LAB:
        from tortie.cli import lab

        app.add_typer(lab.app, name="lab")
    return app


def main() -> None:
    """Entry point."""
    application(sys.argv[1:])()
