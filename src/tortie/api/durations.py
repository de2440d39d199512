"""Durations as they are stored: read in every spelling that Go knows (`time.ParseDuration`), written in Go's own.

Another writer of the datastore would refuse the whole object for one duration that it cannot read.
"""

from __future__ import annotations

import re
from fractions import Fraction

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

UNITS = {
    "ns": 1,
    "us": MICROSECOND,
    "µs": MICROSECOND,  # the micro sign, U+00B5
    "μs": MICROSECOND,  # the Greek letter, U+03BC
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
"""Nanoseconds of each unit."""

LONGEST = 2**63 - 1
"""Nanoseconds that a duration can hold: 292 years."""

_PART = re.compile(r"([0-9]{0,40})(?:\.([0-9]{0,40}))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def nanoseconds(text: str) -> int | None:
    """What a duration such as `1m30s` or `0.5s` says, or None when it is none, or longer than can be stored."""
    if text == "0":
        return 0
    total, end = 0, 0
    while end < len(text):
        part = _PART.match(text, end)
        if part is None or not (part[1] or part[2]):
            return None
        total += _nanoseconds_of(part)
        end = part.end()
        if total > LONGEST:
            return None
    return total if text else None


def _nanoseconds_of(part: re.Match[str]) -> int:
    fraction = part[2] or ""
    return int(Fraction(int(part[1] + fraction or "0") * UNITS[part[3]], 10 ** len(fraction)))


def spelt(duration: int) -> str:
    """Nanoseconds, from 0, as they are stored: `1h0m0s`, `1m30s`, `1.5s`, `50ms`, `0s`."""
    if duration >= MINUTE:
        hours, rest = divmod(duration, HOUR)
        minutes, rest = divmod(rest, MINUTE)
        return (f"{hours}h" if hours else "") + f"{minutes}m{_decimal(rest, SECOND)}s"
    for unit, name in ((SECOND, "s"), (MILLISECOND, "ms"), (MICROSECOND, "µs")):
        if duration >= unit:
            return _decimal(duration, unit) + name
    return f"{duration}ns" if duration else "0s"


def canonical(text: str) -> str:
    """The stored spelling of a duration; what is none stays for validation to refuse."""
    duration = nanoseconds(text)
    return text if duration is None else spelt(duration)


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)
