"""How results are printed: aligned columns, YAML and JSON."""

from __future__ import annotations

import enum
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tortie.cli.streams import FAILED, lost

GAP = "   "
_LEAST_WIDTH = 12
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class Format(enum.StrEnum):
    """Values of `-o` that take no argument; none is the table."""

    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"
    PS = "ps"


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], *, header: bool = True) -> str:
    """Columns three blanks apart, as kubectl prints them, nothing cut."""
    lines = padded([headings, *rows] if header else rows, widths_of([headings, *rows] if header else rows))
    return "\n".join(lines)


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column must be."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def padded(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Rows as lines; a cell that is too long ends in an ellipsis."""
    return [GAP.join(_fitted(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def squeezed(widths: Sequence[int], room: int, keep: int) -> list[int]:
    """Widths that fit a terminal: the widest columns give, down to 12; the first `keep` columns never do."""
    narrow = list(widths)
    excess = sum(narrow) + len(GAP) * (len(narrow) - 1) - room
    while excess > 0:
        widest = max(range(keep, len(narrow)), key=narrow.__getitem__, default=None)
        if widest is None or narrow[widest] <= _LEAST_WIDTH:
            break
        narrow[widest] -= 1
        excess -= 1
    return narrow


def terminal_width() -> int | None:
    """How many columns the terminal has, or None when results go to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def heading(text: str) -> str:
    """A line that stands out on a terminal that shows it so."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else f"{_BOLD}{text}{_PLAIN}"


def structured(value: Mapping[str, Any] | Sequence[Any], form: Format) -> str:
    """YAML or JSON for machines."""
    if form is Format.JSON:
        import json

        return json.dumps(value, indent=2, ensure_ascii=False)
    # YAML costs those who want a table a tenth of their time, so it is loaded only here.
    from tortie.cli.yaml_text import to_yaml

    return to_yaml(value)


def say(text: str) -> None:
    """A result, to standard output."""
    print(text)


def say_now(text: str) -> None:
    """Part of a result that has no end, to standard output at once; ends the command when nothing arrives there."""
    print(text, flush=True)
    if lost(sys.stdout):
        sys.exit(FAILED)


def complain(text: str) -> None:
    """What went wrong, to standard error, after the results that came before it, where both go to one place."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def _fitted(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"
