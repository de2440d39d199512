"""The matrix of who reaches whom: for people, as CSV, as JSON, as a page of HTML that needs nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from html import escape
from typing import Any

from tortie.analysis.matrix import Cell, Matrix
from tortie.analysis.packets import PacketSet
from tortie.analysis.wording import NOTHING, describe
from tortie.cli.output import Format, aligned, structured

WIDEST = 16
"""Longer texts of cells stand below the table, under a number."""

NONE = "·"
"""Nothing gets through, or there are no two."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Who reaches whom</title><style>
body {{ font: 14px sans-serif; margin: 2em }}
table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #ccc; padding: .3em .6em; text-align: left; vertical-align: top }}
thead th {{ position: sticky; top: 0; background: #fff }}
.nothing {{ background: #f6f6f6; color: #888 }} .some {{ background: #fff3cd }} .every {{ background: #d7f0d7 }}
</style></head><body>
<h1>Who reaches whom</h1>
<p>Rows send, columns receive. Green: the same between any two; yellow: more between some than between others.</p>
<table><thead><tr><th></th>{heads}</tr></thead><tbody>
{rows}
</tbody></table></body></html>"""


def told(whole: Matrix, form: str) -> str:
    """A whole matrix.

    Args:
        form: `json`, `csv`, `html`, or nothing for people.
    """
    match form:
        case "json":
            return structured(_plain(whole), Format.JSON)
        case "csv":
            return _csv(whole)
        case "html":
            return _html(whole)
    return _table(whole)


def text_of(cell: Cell) -> str:
    """What gets through between any two, and what besides between some."""
    every, more = _described(cell.every, cell), cell.some - cell.every
    if not more:
        return every
    besides = f"some: {_described(more, cell)}"
    return besides if every == NOTHING else f"{every}; {besides}"


def _described(packets: PacketSet, cell: Cell) -> str:
    return describe(packets, cell.families[0] if len(cell.families) == 1 else None) if packets else NOTHING


def _table(whole: Matrix) -> str:
    below: dict[str, str] = {}

    def short(cell: Cell) -> str:
        text = text_of(cell)
        if text == NOTHING:
            return NONE
        return text if len(text) <= WIDEST else below.setdefault(text, f"[{len(below) + 1}]")

    rows = [(name, *map(short, cells)) for name, cells in zip(whole.names, whole.cells, strict=True)]
    notes = [f"{mark} {text}" for text, mark in below.items()]
    return "\n".join([aligned(("from ↓ to →", *whole.names), rows), *([""] if notes else []), *notes])


def _csv(whole: Matrix) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", *whole.names))
    for name, cells in zip(whole.names, whole.cells, strict=True):
        writer.writerow((name, *map(text_of, cells)))
    return text.getvalue().rstrip("\n")


def _plain(whole: Matrix) -> dict[str, Any]:
    groups = [{"name": name, "endpoints": size} for name, size in zip(whole.names, whole.sizes, strict=True)]
    return {"groups": groups, "reach": list(_plain_cells(whole))}


def _plain_cells(whole: Matrix) -> Iterator[dict[str, str]]:
    """Pairs between which something gets through."""
    for source, cells in zip(whole.names, whole.cells, strict=True):
        for destination, cell in zip(whole.names, cells, strict=True):
            if cell.some:
                every, some = _described(cell.every, cell), _described(cell.some, cell)
                yield {"from": source, "to": destination, "every": every, "some": some}


def _html(whole: Matrix) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in whole.names)
    rows = (
        f"<tr><th>{escape(name)}</th>{''.join(map(_html_cell, cells))}</tr>"
        for name, cells in zip(whole.names, whole.cells, strict=True)
    )
    return _PAGE.format(heads=heads, rows="\n".join(rows))


def _html_cell(cell: Cell) -> str:
    look = "nothing" if not cell.some else "every" if cell.every == cell.some else "some"
    return f'<td class="{look}">{escape(text_of(cell))}</td>'
