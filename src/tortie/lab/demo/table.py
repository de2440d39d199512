"""Who reaches whose service, in both families at once."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from tortie.lab.demo import resolver
from tortie.lab.demo.scene import RESOLVER, SERVICES
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe

Pair = tuple[str, str]

_MARKS = {(True, True): ".", (False, False): "X", (True, False): "4", (False, True): "6"}


def reachability(lab: Lab) -> dict[Pair, str]:
    """For each pair `.` reached, `X` not reached, or the family, 4 or 6, in which it is reached."""
    reached = {family: _reached(lab, family) for family in (4, 6)}
    return {
        pair: _MARKS[pair in reached[4], pair in reached[6]]
        for pair in ((source, to) for source in SERVICES for to in SERVICES if source != to)
    }


def settle(lab: Lab, allowed: Collection[Pair], within: float = 5.0) -> dict[Pair, str]:
    """Look until the table is as expected, or time is up; the last table."""
    deadline = time.monotonic() + within
    while True:
        found = reachability(lab)
        if is_as_expected(found, allowed) or time.monotonic() > deadline:
            return found


def is_as_expected(found: Mapping[Pair, str], allowed: Collection[Pair]) -> bool:
    """Whether exactly these pairs are reached, in both families."""
    return all(mark == ("." if pair in allowed else "X") for pair, mark in found.items())


def text(found: Mapping[Pair, str]) -> str:
    """Rows are sources, columns are destinations with the service that is asked for."""
    headings = [f"{name} {service}" for name, service in SERVICES.items()]
    first = max(len("from \\ to"), *(len(name) for name in SERVICES))
    lines = ["from \\ to".ljust(first) + "  " + "  ".join(headings)]
    for source in SERVICES:
        cells = (
            found.get((source, to), " ").center(len(heading)) for to, heading in zip(SERVICES, headings, strict=True)
        )
        lines.append((source.ljust(first) + "  " + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def address(lab: Lab, name: str, family: int) -> str:
    """A workload's address."""
    return next(one for one in lab.attachment(name).addresses if (":" in one) == (family == 6))


def _reached(lab: Lab, family: int) -> set[Pair]:
    probes = {
        (source, to): Probe(source, address(lab, to, family), service.transport, service.port)
        for source in SERVICES
        for to, service in SERVICES.items()
        if source != to and to != RESOLVER
    }
    outcomes = lab.prober.run(list(probes.values()))
    reached = {pair for pair, outcome in zip(probes, outcomes, strict=True) if outcome.allowed}
    sources = [name for name in SERVICES if name != RESOLVER]
    told = resolver.ask_all(lab, sources, address(lab, RESOLVER, family), "db-1.shop")
    return reached | {(source, RESOLVER) for source, found in told.items() if found}
