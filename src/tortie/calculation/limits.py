"""Limits of a workload, as its endpoint asks for them."""

from __future__ import annotations

from tortie.api.workloadendpoint import QoSControls
from tortie.desired.limits import NO_LIMITS, Bandwidth, Limits
from tortie.desired.policy import Direction

PACKET_BURST = 5
"""Packets at once where a rate is given but no burst."""
BURST = 1 << 32
"""Bits at once where a bandwidth is given but no burst."""


def limits(asked: QoSControls | None, direction: Direction) -> Limits:
    """Bursts mean nothing without the rate that they belong to."""
    if asked is None:
        return NO_LIMITS
    rate, packet_rate, packet_burst, connections = (
        _asked(asked, direction, name) for name in ("bandwidth", "packet_rate", "packet_burst", "max_connections")
    )
    return Limits(
        packet_rate=packet_rate,
        packet_burst=packet_rate and (packet_burst or PACKET_BURST),
        connections=connections,
        bandwidth=_bandwidth(asked, direction) if rate else None,
    )


def _bandwidth(asked: QoSControls, direction: Direction) -> Bandwidth:
    rate, burst, peak, least = (
        _asked(asked, direction, name) for name in ("bandwidth", "burst", "peakrate", "minburst")
    )
    return Bandwidth(rate, burst or BURST, peak, least if peak else 0)


def _asked(asked: QoSControls, direction: Direction, name: str) -> int:
    value: int = getattr(asked, f"{direction.value}_{name}")
    return max(0, value)
