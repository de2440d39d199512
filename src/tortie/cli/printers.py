"""How resources are printed, once for each form; every printer can show a list, and changes as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Protocol

import msgspec

from tortie.api.codec import to_mapping
from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.columns import Table, cell, headings_of, named_column, table
from tortie.cli.output import Format, heading, padded, squeezed, structured, terminal_width, widths_of

_EVENT_WIDTH = len("MODIFIED")
_OF_THIS_CLUSTER = ("uid", "resourceVersion", "creationTimestamp", "selfLink", "generation", "managedFields")


class TableOptions(msgspec.Struct, frozen=True):
    """What the options of a command say of its output.

    Args:
        wide: all columns, and nothing cut.
        header: with headings.
        labels: with a column of all labels.
        kinds: names are shown with their kind.
        export: without what belongs to this cluster: identity, revision, creation time.
        listed: the kinds of which a list was asked for.
        list_kind: what a list of objects says it is.
    """

    wide: bool = False
    header: bool = True
    labels: bool = False
    kinds: bool = False
    export: bool = False
    listed: tuple[str, ...] = ()
    list_kind: str = "List"


class Changed(msgspec.Struct, frozen=True):
    """What happened to a resource: ADDED, MODIFIED or DELETED; then as it was last."""

    event: str
    resource: Resource


class Printer(Protocol):
    """One form of output."""

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """All of a result; `single` when one object was asked for, and not a list."""

    def changes(self, changes: Sequence[Changed]) -> str:
        """Some changes, as they are to stand below what was printed before."""


def mapping(resource: Resource, *, export: bool) -> dict[str, Any]:
    """A resource as plain data; for export without what belongs to this cluster."""
    plain = to_mapping(resource)
    if export:
        plain["metadata"] = {name: value for name, value in plain["metadata"].items() if name not in _OF_THIS_CLUSTER}
    return plain


def document(resources: Sequence[Resource], options: TableOptions, *, single: bool) -> dict[str, Any]:
    """One object, or a list of objects, as plain data."""
    items = [mapping(resource, export=options.export) for resource in resources]
    if single and len(items) == 1:
        return items[0]
    return {"apiVersion": API_VERSION, "kind": options.list_kind, "items": items}


class TablePrinter:
    """A table for each kind."""

    def __init__(self, options: TableOptions) -> None:
        self._options = options
        self._headings: Sequence[str] = ()
        self._widths: list[int] = []

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """Tables, one below the other."""
        kinds = dict.fromkeys(resource.kind for resource in resources)
        return "\n\n".join(
            "\n".join(self._lines(self._table([one for one in resources if one.kind == kind]), fresh=True))
            for kind in kinds
        )

    def changes(self, changes: Sequence[Changed]) -> str:
        """A row for each; headings when the kind is another than before."""
        lines: list[str] = []
        for _, group in groupby(changes, lambda change: change.resource.kind):
            same = list(group)
            columns = self._table([change.resource for change in same])
            rows = [[change.event.ljust(_EVENT_WIDTH), *row] for change, row in zip(same, columns.rows, strict=True)]
            lines += self._lines(Table(["EVENT", *columns.headings], rows, columns.fixed + 1), fresh=False)
        return "\n".join(lines)

    def _table(self, resources: Sequence[Resource]) -> Table:
        options = self._options
        kind = KINDS[resources[0].kind]
        return table(kind, resources, wide=options.wide, labels=options.labels, with_kind=options.kinds)

    def _lines(self, columns: Table, *, fresh: bool) -> list[str]:
        """Rows that line up with those before, when they are of the same columns."""
        new = fresh or columns.headings != self._headings
        widths = widths_of([columns.headings, *columns.rows] if self._options.header else columns.rows)
        room = None if self._options.wide else terminal_width()
        if not new:
            widths = [max(pair) for pair in zip(widths, self._widths, strict=True)]
        self._headings, self._widths = columns.headings, widths
        fitted = widths if room is None else squeezed(widths, room, columns.fixed)
        lines = padded(columns.rows, fitted)
        return [heading(padded([columns.headings], fitted)[0]), *lines] if new and self._options.header else lines


class StructuredPrinter:
    """YAML or JSON."""

    def __init__(self, options: TableOptions, form: Format) -> None:
        self._options = options
        self._form = form

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """One document."""
        return structured(document(resources, self._options, single=single), self._form)

    def changes(self, changes: Sequence[Changed]) -> str:
        """A document for each."""
        texts = [structured(mapping(change.resource, export=self._options.export), self._form) for change in changes]
        return "\n".join(f"---\n{text}" if self._form is Format.YAML else text for text in texts)


class NamePrinter:
    """`kind/name`, as commands take it again."""

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """A line for each."""
        return "\n".join(f"{resource.kind.lower()}/{resource.metadata.name}" for resource in resources)

    def changes(self, changes: Sequence[Changed]) -> str:
        """A line for each."""
        return self.everything([change.resource for change in changes], single=False)


class TemplatePrinter:
    """Whatever a template makes of the data."""

    def __init__(self, options: TableOptions, render: Callable[[Any], str]) -> None:
        self._options = options
        self._render = render

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """The template's text for the object or list."""
        return self._render(document(resources, self._options, single=single))

    def changes(self, changes: Sequence[Changed]) -> str:
        """The template's text for each object."""
        return "\n".join(self._render(mapping(change.resource, export=self._options.export)) for change in changes)


class CustomColumns:
    """Columns as the caller names them: `HEADING:PATH`, or the heading of a column that the kind's own table has.

    Raises:
        InvalidTemplate: a path cannot be read.
        InvalidResource: there is no column of that heading.
    """

    def __init__(self, options: TableOptions, text: str) -> None:
        self._options = options
        self._columns = [_custom_column(item) for item in _custom_items(text)]
        self._header = options.header

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """A table."""
        rows = [self._row(resource) for resource in resources]
        return self._text(([[name for name, _ in self._columns]] if self._header else []) + rows)

    def changes(self, changes: Sequence[Changed]) -> str:
        """A row for each, and headings before the first."""
        text = self.everything([change.resource for change in changes], single=False)
        self._header = False
        return text

    def _row(self, resource: Resource) -> list[str]:
        return [value(resource) for _, value in self._columns]

    def _text(self, rows: Sequence[Sequence[str]]) -> str:
        return "\n".join(padded(rows, widths_of(rows))) if rows else ""


def _custom_items(text: str) -> list[str]:
    """Of one line `A:.a,B:.b`, or of a file with headings in one line and paths below them."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 2:
        return [f"{name}:{path}" for name, path in zip(lines[0].split(), lines[1].split(), strict=False)]
    return [item.strip() for item in ",".join(lines).split(",")]


def _custom_column(item: str) -> tuple[str, Callable[[Resource], str]]:
    from tortie.cli.jsonpath import find, shown
    from tortie.cli.jsonpath_syntax import parse_path

    name, given, text = item.partition(":")
    if not given:
        if name.upper() not in headings_of(None):
            remedy = "write HEADING:PATH, as in NAME:.metadata.name, or a heading of the table"
            raise InvalidResource(Problem("custom-columns", name, "is not a column", remedy))
        return name.upper(), lambda resource: named_column(resource, name.upper())
    path = parse_path(text)
    return name, lambda resource: ",".join(map(shown, find(path, to_mapping(resource)))) or cell(None)
