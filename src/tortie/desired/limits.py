"""How much a workload may receive and send."""

from __future__ import annotations

import msgspec


class Bandwidth(msgspec.Struct, frozen=True, gc=False):
    """A token bucket for bits.

    Args:
        rate: bits a second.
        burst: bits at once beyond that.
        peak: bits a second even while the burst lasts; 0 is no limit.
        least_burst: bits at once at the peak rate; 0 leaves it to the kernel.
    """

    rate: int
    burst: int
    peak: int = 0
    least_burst: int = 0


class Limits(msgspec.Struct, frozen=True, gc=False):
    """Of one direction; 0 and None are no limit.

    Args:
        packet_rate: packets a second.
        packet_burst: packets at once beyond that.
        connections: of TCP, at the same time.
        bandwidth: what goes to and comes from the host itself counts too.
    """

    packet_rate: int = 0
    packet_burst: int = 0
    connections: int = 0
    bandwidth: Bandwidth | None = None


NO_LIMITS = Limits()
