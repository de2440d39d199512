"""What a change means for traffic, for people, pull requests and programs."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any

from tortie.analysis.difference import Change
from tortie.analysis.flowrecords import FlowRecord
from tortie.analysis.replay import Outcome, Replayed
from tortie.analysis.wording import NAMES, describe
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


def replayed_told(outcome: Outcome, shape: Shape) -> str:
    """What becomes of flows that have happened."""
    if shape is Shape.JSON:
        return structured(_plain_outcome(outcome), Format.JSON)
    return "\n".join([*(_markdown_flows if shape is Shape.MARKDOWN else _text_flows)(outcome.changed), *_sums(outcome)])


def _text_flows(changed: Sequence[Replayed]) -> Iterator[str]:
    for one in changed:
        sign, verb = ("+", "would be allowed") if one.opens else ("-", "would be denied")
        yield f"{sign} {one.record.text} {_service(one.record)} {verb} ({_times(one.count)})"
        yield from (f"      {reason}" for reason in _because(one))


def _markdown_flows(changed: Sequence[Replayed]) -> Iterator[str]:
    if changed:
        yield "| | flow | traffic | connections | because of |"
        yield "|---|---|---|---|---|"
    for one in changed:
        verb = "allowed" if one.opens else "denied"
        cells = (verb, one.record.text, _service(one.record), str(one.count), "<br>".join(_because(one)))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    if changed:
        yield ""


def _sums(outcome: Outcome) -> Iterator[str]:
    closed = sum(one.count for one in outcome.changed if not one.opens)
    opened = sum(one.count for one in outcome.changed if one.opens)
    yield f"of what has happened: {closed} would be denied, {opened} would be allowed, {outcome.same} as before"
    if outcome.odd:
        yield f"recorded otherwise than the policy of before decides: {outcome.odd}; it was another policy then"
    yield from (f"unknown: {why} ({_times(count)})" for why, count in sorted(outcome.unknown.items()))


def _because(one: Replayed) -> list[str]:
    before = dict(by.split(": ", 1) for by in one.before.by)
    after = dict(by.split(": ", 1) for by in one.after.by)
    ways = dict.fromkeys([*before, *after])
    return [
        f"{way}: {after.get(way, 'not governed')} (was: {before.get(way, 'not governed')})"
        for way in ways
        if before.get(way) != after.get(way)
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _service(record: FlowRecord) -> str:
    name = NAMES.get(record.protocol, f"protocol {record.protocol}")
    return name if record.port is None else f"{name} {record.port}"


def _plain_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "changed": [
            {
                "from": one.record.source.text,
                "to": one.record.destination.text,
                "traffic": _service(one.record),
                "connections": one.count,
                "before": one.before.action.value,
                "after": one.after.action.value,
                "because": _because(one),
            }
            for one in outcome.changed
        ],
        "same": outcome.same,
        "recordedOtherwise": outcome.odd,
        "unknown": outcome.unknown,
    }


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
            yield f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", chr(92) + "|")


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
        "fromOutside": one.from_outside,
        "toOutside": one.to_outside,
    }
