"""The tortie command."""

from __future__ import annotations

import typer

from tortie import __version__
from tortie.cli import lab, node, resources
from tortie.cli.output import say

app = typer.Typer(
    name="tortie",
    help="Routed networking and label-based security for containers, virtual machines and hosts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(resources.apply)
app.command()(resources.get)
app.command()(resources.delete)
app.add_typer(node.app, name="node")
app.add_typer(lab.app, name="lab")


@app.command()
def version() -> None:
    """Show the version."""
    say(__version__)


def main() -> None:
    """Entry point."""
    app()
