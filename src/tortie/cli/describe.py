"""`tortie describe`."""

from __future__ import annotations

from collections.abc import Callable

import click

from tortie.api.resource import Resource
from tortie.cli.completing import complete_words
from tortie.cli.connection import or_exit, warn_unreadable, with_datastore, with_location
from tortie.cli.descriptions import Surroundings, as_text
from tortie.cli.descriptions import describe as description_of
from tortie.cli.get import empty, label_filter, report
from tortie.cli.options import namespace_option
from tortie.cli.output import complain, say
from tortie.cli.selection import Found, Selection, find, selection
from tortie.datastore.contract import Datastore
from tortie.datastore.location import Location
from tortie.datastore.reading import ResourceReader


@click.command()
@click.argument("words", metavar="KIND [NAME...] | KIND/NAME...", nargs=-1, shell_complete=complete_words)
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@click.option("-l", "--selector", metavar="SELECTOR", help="Only what has these labels, as of `tortie get`.")
@with_location
def describe(
    words: tuple[str, ...], namespace: str, all_namespaces: bool, selector: str | None, location: Location
) -> None:
    """Tell people what a resource is: its fields, its rules in words, and what has to do with it.

    A tier is told with its policies in order, a pool with how full it is, a node with its blocks of addresses.

    \b
      tortie describe tier default
      tortie describe np/allow-web -n shop
      tortie describe ippools
    """
    wanted = or_exit(lambda: selection(words, namespace, all_namespaces))
    keep = or_exit(lambda: label_filter(selector))
    found, texts = with_datastore(location, lambda datastore: _described(datastore, wanted, keep))
    if texts:
        say("\n\n".join(texts))
    elif wanted.keys is None:
        complain(empty(wanted))
    report(found, ignore_missing=False)


async def _described(
    datastore: Datastore, wanted: Selection, keep: Callable[[Resource], bool]
) -> tuple[Found, list[str]]:
    reader = ResourceReader(datastore, warn_unreadable)
    around = Surroundings(datastore, reader)
    found = await find(reader, wanted)
    return found, [as_text(await description_of(one, around)) for one in found.resources if keep(one)]
