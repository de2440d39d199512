"""Who reaches somebody and whom somebody reaches: for people, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from tortie.analysis.exposure import Peer, Reach
from tortie.analysis.wording import describe
from tortie.cli.output import Format, structured

MOST = 12
"""How many are named to people on one side of one traffic."""


def told(found: Sequence[Reach], form: str, *, everybody: bool) -> str:
    """All of them.

    Args:
        form: `json`, `csv`, or nothing for people.
        everybody: whether more than the outside was asked about.
    """
    if form == "json":
        return structured([_plain(one) for one in found], Format.JSON)
    if form == "csv":
        return _csv(found)
    if not found:
        return "Nothing gets in from outside, and nothing out."
    return "\n\n".join("\n".join(_lines(one, everybody)) for one in found)


def _lines(one: Reach, everybody: bool) -> Iterator[str]:
    yield one.name
    whom = "nobody" if everybody else "nobody outside"
    for heading, peers in (("is reached by", one.reached_by), ("reaches", one.reaches)):
        yield f"  {heading}" + ("" if peers else f" {whom}")
        width = max((len(_traffic(one, peer)) for peer in peers), default=0)
        for peer in peers:
            names = [*peer.ends, *(f"outside: {text}" for text in peer.outside)]
            shown = names if len(names) <= MOST else [*names[:MOST], f"and {len(names) - MOST} more (-o csv lists all)"]
            for place, name in enumerate(shown):
                yield f"    {(_traffic(one, peer) if place == 0 else '').ljust(width)}   {name}"


def _traffic(one: Reach, peer: Peer) -> str:
    return describe(peer.packets, one.families[0] if len(one.families) == 1 else None)


def _csv(found: Sequence[Reach]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", "to", "traffic"))
    for one in found:
        for peer in one.reached_by:
            writer.writerows((name, one.name, _traffic(one, peer)) for name in _names(peer))
        for peer in one.reaches:
            writer.writerows((one.name, name, _traffic(one, peer)) for name in _names(peer))
    return text.getvalue().rstrip("\n")


def _names(peer: Peer) -> list[str]:
    return [*peer.ends, *(f"outside: {text}" for text in peer.outside)]


def _plain(one: Reach) -> dict[str, Any]:
    def peers(some: Sequence[Peer]) -> list[dict[str, Any]]:
        return [
            {"traffic": _traffic(one, peer), "workloads": list(peer.ends), "outside": list(peer.outside)}
            for peer in some
        ]

    return {"name": one.name, "reachedBy": peers(one.reached_by), "reaches": peers(one.reaches)}
