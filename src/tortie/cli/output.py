"""How results are printed: aligned columns, YAML and JSON."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml


class Format(enum.StrEnum):
    """Values of `-o`; none is the table."""

    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns three blanks apart, as kubectl prints them."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [headings, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def structured(value: Mapping[str, Any] | Sequence[Any], form: Format) -> str:
    """YAML or JSON for machines."""
    if form is Format.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False)
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=False, allow_unicode=True).rstrip()


def say(text: str) -> None:
    """A result, to standard output."""
    print(text)


def complain(text: str) -> None:
    """What went wrong, to standard error."""
    print(text, file=sys.stderr)
