"""Port lists of rules: numbers and ranges merged, names apart."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.api.rules import Port
from tortie.desired.policy import PortRange


class Ports(msgspec.Struct, frozen=True, gc=False):
    """A port list. `ranges` are sorted and neither overlap nor touch; `names` are sorted."""

    ranges: tuple[PortRange, ...] = ()
    names: tuple[str, ...] = ()


def split_ports(ports: Iterable[Port]) -> Ports:
    """Read a list of numbers, `first:last` ranges and names; all digits is a number.

    Raises:
        ValueError: a number above 65535, or a range that runs backwards.
    """
    ranges: list[PortRange] = []
    names: set[str] = set()
    for port in ports:
        span = _range(port)
        if span is None:
            names.add(str(port))
        else:
            ranges.append(span)
    return Ports(_merge(ranges), tuple(sorted(names)))


def _range(port: Port) -> PortRange | None:
    first, colon, last = str(port).partition(":")
    if not first.isdigit() or (colon and not last.isdigit()):
        return None
    span = PortRange(int(first), int(last or first))
    if not 0 <= span.first <= span.last <= 65535:
        raise ValueError(f"port {port} is not in 0 to 65535 or runs backwards")
    return span


def _merge(ranges: list[PortRange]) -> tuple[PortRange, ...]:
    merged: list[PortRange] = []
    for span in sorted(ranges):
        if merged and span.first <= merged[-1].last + 1:
            merged[-1] = PortRange(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return tuple(merged)
