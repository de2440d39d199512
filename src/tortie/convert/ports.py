"""Ports of Kubernetes policy rules, by protocol, in the fewest ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tortie.api import rules as api
from tortie.convert.converted import Unconvertible
from tortie.convert.objects import Port

PROTOCOLS = ("TCP", "UDP", "SCTP")
"""What Kubernetes knows of protocols."""

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_.-]{1,128}")

_PortRange = tuple[int, int]


def ports_by_protocol(ports: Iterable[Port], path: str) -> dict[str, tuple[api.Port, ...]]:
    """The ports of each protocol, in the order of its name; none at all stand for every port of it.

    Args:
        path: where the list stands.

    Raises:
        Unconvertible: a protocol is not Kubernetes', or a port is out of range.
    """
    found: dict[str, list[str | _PortRange] | None] = {}
    for index, port in enumerate(ports):
        protocol, what = _protocol(port, f"{path}[{index}]"), _port(port, f"{path}[{index}]")
        known = found.setdefault(protocol, [])
        if what is None or known is None:
            found[protocol] = None
        else:
            known.append(what)
    return {protocol: _simplified(found[protocol] or ()) for protocol in sorted(found)}


def _protocol(port: Port, path: str) -> str:
    protocol = port.protocol or "TCP"
    if protocol not in PROTOCOLS:
        problem = f"{protocol!r} is not a protocol of Kubernetes policies"
        raise Unconvertible(f"{path}.protocol", problem, f"use one of {', '.join(PROTOCOLS)}")
    return protocol


def _port(port: Port, path: str) -> str | _PortRange | None:
    """A name, a range, or None for every port."""
    first = port.port
    if isinstance(first, str) and re.fullmatch("[0-9]{1,5}", first):
        first = int(first)
    if isinstance(first, int):
        return _range(first, first if port.end_port is None else port.end_port, path)
    if port.end_port is not None:
        raise Unconvertible(f"{path}.endPort", "has no number to begin with", "give the first port of the range")
    if first is not None and not _NAME.fullmatch(first):
        raise Unconvertible(f"{path}.port", f"{first!r} is not a port", "use a number or the name of a port")
    return first


def _range(first: int, last: int, path: str) -> _PortRange:
    if not 1 <= first <= last <= 65535:
        problem = f"{first} to {last} is not a range of ports"
        raise Unconvertible(f"{path}.port", problem, "use 1 to 65535, the lower number first")
    return first, last


def _simplified(ports: Iterable[str | _PortRange]) -> tuple[api.Port, ...]:
    """Adjacent and overlapping ranges made one. A single number stays where it stands, several follow the names."""
    ports = tuple(ports)
    ranges = [port for port in ports if not isinstance(port, str)]
    if sum(last - first + 1 for first, last in ranges) <= 1:
        return tuple([port if isinstance(port, str) else _text(port) for port in ports])
    return (*[port for port in ports if isinstance(port, str)], *map(_text, _merged(ranges)))


def _merged(ranges: Iterable[_PortRange]) -> list[_PortRange]:
    merged: list[_PortRange] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _text(ports: _PortRange) -> api.Port:
    first, last = ports
    return first if first == last else f"{first}:{last}"
