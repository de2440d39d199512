"""The way of a packet from host to host, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tortie.analysis.journey import Hop, Journey
from tortie.calculation.crossing import Stop
from tortie.desired.policy import Action


def way_lines(journey: Journey) -> Iterator[str]:
    """One host after the other."""
    yield "the way of the packet"
    for hop in journey.hops:
        yield f"  {hop.node}: from {hop.incoming}"
        yield from (f"      {_sign(stop)} {_stop(stop)}" for stop in _told(hop))
        if hop.action is not Action.DENY:
            yield from (f"      {note}" for note in hop.notes)


def way_plain(journey: Journey | None) -> list[dict[str, Any]]:
    """All of it."""
    return [
        {
            "node": hop.node,
            "arrivesBy": hop.incoming,
            "leavesBy": hop.outgoing,
            "verdict": hop.action.value,
            "judgedBy": [{"where": stop.where, "verdict": stop.action.value, "why": _stop(stop)} for stop in hop.stops],
            "then": list(hop.notes),
        }
        for hop in (journey.hops if journey else ())
    ]


def _told(hop: Hop) -> Iterator[Stop]:
    """Host endpoints that decide, and whoever else denies; what workloads' own policies allow is told above."""
    for stop in hop.stops:
        decides = bool(stop.trace) or stop.action is not Action.PASS
        if (stop.where.startswith("HostEndpoint ") and decides) or stop.action is Action.DENY:
            yield stop


def _sign(stop: Stop) -> str:
    return {Action.DENY: "✗", Action.ALLOW: "✓"}.get(stop.action, "-")


def _stop(stop: Stop) -> str:
    if stop.trace:
        return f"{stop.where}: {', '.join(map(str, stop.trace))}"
    return f"{stop.where}: {'no policy decides' if stop.action is Action.PASS else stop.action.value}"
