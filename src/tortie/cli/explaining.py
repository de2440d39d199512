"""`tortie explain`."""

from __future__ import annotations

import click

from tortie.cli.completing import complete_kinds
from tortie.cli.connection import or_exit
from tortie.cli.output import say
from tortie.cli.selection import kinds_of


@click.command()
@click.argument("what", metavar="KIND[.FIELD...]", shell_complete=complete_kinds)
@click.option("-r", "-R", "--recursive", is_flag=True, help="All fields below it too.")
def explain(what: str, recursive: bool) -> None:
    """Tell what a kind or a field of it is: its type, what it may hold, its default.

    \b
      tortie explain networkpolicy
      tortie explain ippool.spec.blockSize
      tortie explain globalnetworkpolicy.spec.ingress --recursive
    """
    kind, _, path = what.partition(".")
    name = or_exit(lambda: kinds_of(kind))[0]
    # The tables of fields are not needed by any other command that reads.
    from tortie.cli.explain import explain_text

    say(or_exit(lambda: explain_text(name, path, recursive)).rstrip())
