"""What BGPPeers, and the BGPConfiguration `default` for the mesh, can ask for beyond Calico's fields: by annotations.

Calico keeps annotations and ignores these, so that one datastore serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from tortie.api.constraint import Finding
from tortie.api.durations import MILLISECOND, nanoseconds

PREFIX = "tortie/"
BFD = f"{PREFIX}bfd"
BFD_INTERVAL = f"{PREFIX}bfd-interval"
BFD_MULTIPLIER = f"{PREFIX}bfd-multiplier"
EXTENDED_NEXT_HOP = f"{PREFIX}extended-next-hop"

DEFAULT_INTERVAL = 300
DEFAULT_MULTIPLIER = 3

_LONGEST_INTERVAL = 60_000
_MOST = 255


class BGPExtensions(msgspec.Struct, frozen=True, gc=False):
    """What is asked for.

    Args:
        bfd: `SingleHop` (RFC 5881), `MultiHop` (RFC 5883), or empty for none.
        interval: milliseconds between two signs of life that BFD sends, and expects.
        multiplier: how many of these may be lost before the neighbour counts as dead.
        extended_next_hop: whether sessions over IPv6 carry IPv4 routes too (RFC 8950).
    """

    bfd: str = ""
    interval: int = DEFAULT_INTERVAL
    multiplier: int = DEFAULT_MULTIPLIER
    extended_next_hop: bool = False


def read_extensions(annotations: Mapping[str, str]) -> BGPExtensions:
    """All that annotations ask for. Raises ValueError: one cannot be read."""
    for path, problem, remedy in find_problems(annotations):
        raise ValueError(f"{path}: {problem}; {remedy}")
    mode = annotations.get(BFD, "Disabled")
    return BGPExtensions(
        bfd="" if mode == "Disabled" else mode,
        interval=_milliseconds(annotations.get(BFD_INTERVAL, "")) or DEFAULT_INTERVAL,
        multiplier=int(annotations.get(BFD_MULTIPLIER, DEFAULT_MULTIPLIER)),
        extended_next_hop=annotations.get(EXTENDED_NEXT_HOP) == "Enabled",
    )


def find_problems(annotations: Mapping[str, str]) -> Iterator[Finding]:
    """Annotations of ours that are unknown or cannot be read."""
    for name, text in annotations.items():
        if not name.startswith(PREFIX):
            continue
        path = f"metadata.annotations[{name}]"
        if name not in _ALLOWED:
            yield path, "is unknown", f"use one of {', '.join(_ALLOWED)}"
        elif not _ALLOWED[name][0](text):
            yield path, f"{text!r} is not allowed", f"use {_ALLOWED[name][1]}"


def _milliseconds(text: str) -> int:
    """0 for what cannot be an interval."""
    found = (nanoseconds(text) or 0) // MILLISECOND
    return found if 10 <= found <= _LONGEST_INTERVAL else 0


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= _MOST


_ALLOWED: Mapping[str, tuple[Callable[[str], object], str]] = {
    BFD: (lambda text: text in ("SingleHop", "MultiHop", "Disabled"), "SingleHop, MultiHop or Disabled"),
    BFD_INTERVAL: (_milliseconds, "a duration from 10ms to 60s"),
    BFD_MULTIPLIER: (_is_count, f"a number from 1 to {_MOST}"),
    EXTENDED_NEXT_HOP: (lambda text: text in ("Enabled", "Disabled"), "Enabled or Disabled"),
}
"""What each may be, as a test and in words."""

ANNOTATIONS: Mapping[str, str] = {name: words for name, (_, words) in _ALLOWED.items()}
"""Every annotation, and what it may be, in words."""
