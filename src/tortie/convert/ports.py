"""Ports of Kubernetes policy rules, by protocol, in the fewest ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from tortie.api import rules as api
from tortie.convert.converted import Unconvertible, both, each
from tortie.convert.objects import Port

PROTOCOLS = ("TCP", "UDP", "SCTP")
"""What Kubernetes knows of protocols."""

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_.-]{1,128}")

PortRange = tuple[int, int]
"""First and last port."""

Wanted = str | PortRange
"""A port by name, or numbers."""


def ports_by_protocol(ports: Iterable[Port], path: str) -> dict[str | None, tuple[api.Port, ...]]:
    """The ports of each protocol, in the order of its name; none at all stand for every port of it.

    Args:
        path: where the list stands.

    Raises:
        Unconvertible: a protocol is not Kubernetes', or a port is out of range.
    """
    return merged(each(partial(_wanted, port, f"{path}[{index}]") for index, port in enumerate(ports)))


def merged(wanted: Iterable[tuple[str | None, Wanted | None]]) -> dict[str | None, tuple[api.Port, ...]]:
    """Names and ranges by protocol, in the order of its name; None as a port is every port, as a protocol any."""
    found: dict[str | None, list[Wanted] | None] = {}
    for name, what in wanted:
        known = found.setdefault(name, [])
        if what is None or known is None:
            found[name] = None
        else:
            known.append(what)
    return {name: _simplified(found[name] or ()) for name in sorted(found, key=lambda name: name or "")}


def protocol(given: str | None, path: str) -> str:
    """A protocol of Kubernetes policies, TCP when none is given.

    Raises:
        Unconvertible: it is another one.
    """
    name = given or "TCP"
    if name not in PROTOCOLS:
        problem = f"{name!r} is not a protocol of Kubernetes policies"
        raise Unconvertible(f"{path}.protocol", problem, f"use one of {', '.join(PROTOCOLS)}")
    return name


def port_name(text: str, path: str) -> str:
    """The name of a port. Raises Unconvertible."""
    if not _NAME.fullmatch(text):
        raise Unconvertible(path, f"{text!r} is not a port", "use a number or the name of a port")
    return text


def port_range(first: int, last: int, path: str) -> PortRange:
    """First and last port. Raises Unconvertible."""
    if not 1 <= first <= last <= 65535:
        problem = f"{first} is not a port" if first == last else f"{first} to {last} is not a range of ports"
        raise Unconvertible(path, problem, "use 1 to 65535, the lower number first")
    return first, last


def _wanted(port: Port, path: str) -> tuple[str, Wanted | None]:
    return both(partial(protocol, port.protocol, path), partial(_port, port, path))


def _port(port: Port, path: str) -> Wanted | None:
    """A name, a range, or None for every port."""
    first = port.port
    if isinstance(first, str) and re.fullmatch("[0-9]{1,5}", first):
        first = int(first)
    if isinstance(first, int):
        return port_range(first, first if port.end_port is None else port.end_port, f"{path}.port")
    if port.end_port is not None:
        raise Unconvertible(f"{path}.endPort", "has no number to begin with", "give the first port of the range")
    return None if first is None else port_name(first, f"{path}.port")


def _simplified(ports: Iterable[Wanted]) -> tuple[api.Port, ...]:
    """Everything once, adjacent and overlapping ranges made one.

    A single number stays where it stands, several follow the names.
    """
    ports = tuple(dict.fromkeys(ports))
    ranges = [port for port in ports if not isinstance(port, str)]
    if sum(last - first + 1 for first, last in ranges) <= 1:
        return tuple([port if isinstance(port, str) else _text(port) for port in ports])
    return (*[port for port in ports if isinstance(port, str)], *map(_text, _merged(ranges)))


def _merged(ranges: Iterable[PortRange]) -> list[PortRange]:
    merged: list[PortRange] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _text(ports: PortRange) -> api.Port:
    first, last = ports
    return first if first == last else f"{first}:{last}"
