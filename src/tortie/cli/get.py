"""`tortie get`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import msgspec

from tortie.api.codec import to_mapping
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource, ResourceKey
from tortie.cli.completing import complete_words
from tortie.cli.connection import FAILED, or_exit, warn_unreadable, with_datastore, with_location
from tortie.cli.formats import PrinterMaker, output_option
from tortie.cli.inputs import Input
from tortie.cli.options import input_options
from tortie.cli.output import complain, say
from tortie.cli.personality import has_own_voice
from tortie.cli.printers import Printer, StructuredPrinter, TableOptions, TablePrinter
from tortie.cli.selection import Found, Selection, find, selection, selection_of_files
from tortie.datastore.contract import Datastore
from tortie.datastore.location import Location
from tortie.datastore.reading import ResourceReader

IN_ADDRESS_RECORDS = frozenset({"BlockAffinity", "IPAMConfiguration"})
"""Kinds that are shown as address management keeps them, not as copies of them are stored."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `tortie get`, each as its help says."""

    output: PrinterMaker | None
    given: Input
    all_namespaces: bool
    selector: str | None
    show_labels: bool
    sort_by: str | None
    no_headers: bool
    export: bool
    ignore_not_found: bool
    watch: bool
    watch_only: bool


@click.command()
@click.argument("words", metavar="KIND[,KIND...] [NAME...] | KIND/NAME...", nargs=-1, shell_complete=complete_words)
@output_option
@input_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@click.option("-l", "--selector", help="Only what has these labels: app=web,tier!=db, or app == 'web' && has(tier).")
@click.option("--show-labels", is_flag=True, help="A column of all labels.")
@click.option("--sort-by", metavar="JSONPATH", help="Order by a field, such as .spec.order; what lacks it is last.")
@click.option("--no-headers", is_flag=True, help="Rows only.")
@click.option("--export", is_flag=True, help="Without uid, resourceVersion and creationTimestamp.")
@click.option("--ignore-not-found", is_flag=True, help="A name that is not there is no error.")
@click.option("-w", "--watch", is_flag=True, help="Go on to show every change, until interrupted.")
@click.option("--watch-only", is_flag=True, help="Show changes only.")
@with_location
def get(words: tuple[str, ...], location: Location, **options: Any) -> None:
    """Show resources.

    `all` stands for tiers, policies, network sets and endpoints. Kinds go by their names, plurals and short
    names. With -o, a template gets one object when one is named, otherwise a list with `items`.

    \b
      tortie get nodes
      tortie get networkpolicies,tiers -A -o wide
      tortie get np allow-web -n shop -o yaml
      tortie get workloadendpoints -A -l app=web --watch
      tortie get ippools -o jsonpath='{range .items[*]}{.metadata.name} {.spec.cidr}{"\\n"}{end}'
      tortie get gnp --sort-by=.spec.order -o custom-columns=NAME:.metadata.name,ORDER:.spec.order
    """
    chosen = Options(**options)
    wanted = or_exit(lambda: _selection(words, chosen))
    printer = printer_of(chosen, wanted)
    keep = or_exit(lambda: label_filter(chosen.selector))
    if chosen.watch or chosen.watch_only:
        # Following changes is not needed by those who look once.
        from tortie.cli.following import follow

        follow(location, wanted, keep, printer, initial=not chosen.watch_only)
        return
    found = with_datastore(location, lambda datastore: find(_reader(datastore, wanted, printer), wanted))
    kept = or_exit(lambda: _sorted([one for one in found.resources if keep(one)], chosen.sort_by))
    show(kept, wanted, printer)
    report(found, ignore_missing=chosen.ignore_not_found)


def _reader(datastore: Datastore, wanted: Selection, printer: Printer) -> ResourceReader:
    """What reads a selection; whoever wants all of an object is told what is left out."""
    seen = warn_unknown if isinstance(printer, StructuredPrinter) else None
    if IN_ADDRESS_RECORDS.isdisjoint(wanted.kinds):
        return ResourceReader(datastore, warn_unreadable, seen)
    from tortie.cli.address_views import AddressReader

    return AddressReader(datastore, warn_unreadable, seen)


def warn_unknown(key: ResourceKey, data: bytes) -> None:
    """Say which fields a newer writer stored that are not shown."""
    from tortie.api.foreign import unknown_in

    if paths := unknown_in(data, KINDS[key.kind]):
        complain(
            f"warning: {key} holds fields that this version does not know and does not show: {', '.join(paths)} "
            "(a change keeps them, and one that would lose them is refused)"
        )


def show(resources: Sequence[Resource], wanted: Selection, printer: Printer) -> None:
    """Print what was found; that nothing was is for people, so it goes to standard error.

    Where none of the names that were asked for is there, there is no list of nothing either.
    """
    if not resources and wanted.keys:
        return
    text = or_exit(lambda: printer.everything(resources, single=wanted.is_single))
    if text and (resources or not isinstance(printer, TablePrinter)):
        say(text.removesuffix("\n"))
    if not resources and wanted.keys is None and has_own_voice():
        complain(empty(wanted))


def empty(wanted: Selection) -> str:
    """That there is nothing, and where it was looked for."""
    kinds = ", ".join(KINDS[kind].plural for kind in wanted.kinds)
    scoped = wanted.namespace and any(KINDS[kind].namespaced for kind in wanted.kinds)
    return f"no {kinds} found" + (f" in namespace {wanted.namespace}" if scoped else "")


def report(found: Found, *, ignore_missing: bool) -> None:
    """Say which names were not found, and end with the status for it."""
    complaints = found.problems if ignore_missing else (*found.problems, *found.missing)
    for complaint in complaints:
        complain(complaint)
    if complaints:
        sys.exit(FAILED)


def printer_of(options: Options, wanted: Selection) -> Printer:
    """What prints in the form that was asked for."""
    table = TableOptions(
        header=not options.no_headers,
        labels=options.show_labels,
        kinds=len(wanted.kinds) > 1,
        export=options.export,
        listed=wanted.kinds if wanted.keys is None else (),
        list_kind="List" if has_own_voice() or len(wanted.kinds) != 1 else f"{wanted.kinds[0]}List",
    )
    return options.output(table) if options.output else TablePrinter(table)


def _selection(words: Sequence[str], options: Options) -> Selection:
    if options.given.paths and words:
        raise click.UsageError("name resources, or files that hold them, not both")
    if options.given.paths:
        return selection_of_files(options.given)
    return selection(words, options.given.namespace, options.all_namespaces)


def label_filter(text: str | None) -> Callable[[Resource], bool]:
    """Whether a resource has the labels that `-l` asks for."""
    if not text:
        return lambda _: True
    # The selector language is not needed by those who want everything.
    from tortie.cli.labels import label_selector

    selector = label_selector(text)
    return lambda resource: selector.matches(resource.metadata.labels)


def _sorted(resources: list[Resource], text: str | None) -> list[Resource]:
    if not text:
        return resources
    from tortie.cli.jsonpath import find as values_of
    from tortie.cli.jsonpath_syntax import InvalidTemplate, parse_path

    try:
        path = parse_path(text)
    except InvalidTemplate as error:
        raise click.BadParameter(str(error), param_hint="--sort-by") from error
    return sorted(resources, key=lambda resource: _rank(values_of(path, to_mapping(resource))))


def _rank(values: Sequence[object]) -> tuple[int, float, str]:
    """Numbers by size, then texts, then what has no value."""
    value = values[0] if values else None
    if isinstance(value, int | float):
        return 0, value, ""
    return (2, 0, "") if value is None else (1, 0, str(value))
