"""Limits of a workload, from the annotations of its pod.

A number beyond the range of its limit becomes the nearest one within it; one that cannot be read is
as if it were not there. Both are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tortie.api import canonical, formats
from tortie.api.workloadendpoint import QoSControls
from tortie.convert.quantity import quantity

PREFIX = "qos.projectcalico.org/"
"""Before the name of every annotation but those of `BANDWIDTH_PLUGIN`."""

CODE_POINT = f"{PREFIX}dscp"
"""The annotation with the differentiated services code point."""

DIRECTIONS = ("ingress", "egress")


class Limit(msgspec.Struct, frozen=True):
    """One limit of a direction.

    Args:
        field: of `QoSControls`, after the direction.
        annotation: its name, after prefix and direction.
        least, most: its range.
        of: the limit without which it means nothing.
        default: of one that is left out although `of` is given.
    """

    field: str
    annotation: str
    least: int
    most: int
    of: str = ""
    default: int = 0


LIMITS = (
    Limit("bandwidth", "Bandwidth", 1000, 10**15),
    Limit("burst", "Burst", 1000, (2**32 - 1) * 8, of="bandwidth", default=2**32),
    Limit("peakrate", "Peakrate", 1010, 1010 * 10**12, of="bandwidth"),
    Limit("minburst", "Minburst", 1000, 10**8, of="bandwidth"),
    Limit("packet_rate", "PacketRate", 1, 10_000),
    Limit("packet_burst", "PacketBurst", 1, 10_000, of="packet_rate", default=5),
    Limit("max_connections", "MaxConnections", 1, 2**32 - 1),
)
"""Every limit; what it depends on comes before it. Source: Calico's documentation of QoS controls."""

BANDWIDTH_PLUGIN = "kubernetes.io/{direction}-bandwidth"
"""The annotation of the CNI plugin `bandwidth`, which counts where Calico's own is not given."""


class Limits(msgspec.Struct, frozen=True):
    """What annotations ask for, None for nothing, and what is wrong with them."""

    controls: QoSControls | None
    warnings: tuple[str, ...] = ()


def limits(annotations: Mapping[str, str]) -> Limits:
    """The limits of a pod."""
    warnings: list[str] = []
    found: dict[str, Any] = {}
    for direction in DIRECTIONS:
        found |= _of_direction(direction, annotations, warnings)
    found |= _code_point(annotations, warnings)
    return Limits(QoSControls(**found) if found else None, tuple(warnings))


def _of_direction(direction: str, annotations: Mapping[str, str], warnings: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for limit in LIMITS:
        name, value = _given(limit, direction, annotations)
        number = None if value is None else _number(limit, name, value, warnings)
        if limit.of and f"{direction}_{limit.of}" not in found:
            warnings += [] if value is None else [f"{name} means nothing without {PREFIX}{direction}{_named(limit.of)}"]
        elif number is not None or limit.default:
            found[f"{direction}_{limit.field}"] = limit.default if number is None else number
    return found


def _given(limit: Limit, direction: str, annotations: Mapping[str, str]) -> tuple[str, str | None]:
    """The annotation that says it, and its value."""
    name, plugins = f"{PREFIX}{direction}{limit.annotation}", BANDWIDTH_PLUGIN.format(direction=direction)
    if limit.field == "bandwidth" and name not in annotations and plugins in annotations:
        name = plugins
    return name, annotations.get(name)


def _number(limit: Limit, name: str, text: str, warnings: list[str]) -> int | None:
    """The value within its range."""
    try:
        value = quantity(text)
    except ValueError as error:
        warnings.append(f"{name}: {error}; there is no such limit")
        return None
    within = min(max(value, limit.least), limit.most)
    if within != value:
        warnings.append(f"{name}: {text} is not within {limit.least} to {limit.most}; {within} is used")
    return within


def _named(field: str) -> str:
    return next(limit.annotation for limit in LIMITS if limit.field == field)


def _code_point(annotations: Mapping[str, str], warnings: list[str]) -> dict[str, int | str]:
    text = annotations.get(CODE_POINT)
    if text is None:
        return {}
    value = canonical.number_or_text(text)
    if not formats.DSCP.accepts(value):
        warnings.append(f"{CODE_POINT}: {text!r} is not {formats.DSCP.expected}; packets are not marked")
        return {}
    return {"dscp": value}
