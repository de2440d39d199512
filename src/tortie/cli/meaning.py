"""What a change means for traffic, for people, pull requests and programs."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any

from tortie.analysis.difference import Change
from tortie.analysis.wording import describe
from tortie.cli.output import Format, structured


class Shape(enum.StrEnum):
    """How to tell it."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


def told(changes: Sequence[Change], shape: Shape) -> str:
    """All changes."""
    if shape is Shape.JSON:
        return structured([_plain(one) for one in changes], Format.JSON)
    if not changes:
        return "No traffic fares differently."
    return "\n".join(_markdown(changes) if shape is Shape.MARKDOWN else _text(changes))


def _text(changes: Sequence[Change]) -> Iterator[str]:
    for one in changes:
        for sign, verb, packets in _parts(one):
            yield f"{sign} {verb} {one.source} → {one.destination}: {packets}"
        yield from (f"      {reason}" for reason in one.reasons)


def _markdown(changes: Sequence[Change]) -> Iterator[str]:
    yield "| | from | to | traffic | because of |"
    yield "|---|---|---|---|---|"
    for one in changes:
        for _, verb, packets in _parts(one):
            cells = (verb, one.source, one.destination, packets, "<br>".join(one.reasons))
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _parts(one: Change) -> Iterator[tuple[str, str, str]]:
    if one.opened:
        yield "+", "opens", describe(one.opened)
    if one.closed:
        yield "-", "closes", describe(one.closed)


def _plain(one: Change) -> dict[str, Any]:
    return {
        "from": one.source,
        "to": one.destination,
        "opens": describe(one.opened) if one.opened else "",
        "closes": describe(one.closed) if one.closed else "",
        "because": list(one.reasons),
    }
