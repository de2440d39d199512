"""Bits of the packet mark, and what the desired state says about the packet filter besides policy."""

from __future__ import annotations

import msgspec

from tortie.desired.settings import EndpointToHost, FilterSettings, MetadataService, Outgoing, ServiceLoops

__all__ = ["EndpointToHost", "MarkBits", "MetadataService", "Outgoing", "ServiceLoops", "Settings"]

Settings = FilterSettings

_BITS = 4


class MarkBits(msgspec.Struct, frozen=True, gc=False):
    """Single bits of the packet mark.

    Args:
        accept: policy of an early stage accepted the packet, see `host_layout`.
        passed: a policy passed it to the next tier.
        encrypted: what WireGuard has done its work on: it is routed as if there were none.
        scratch: what a staged policy would do with it.
    """

    accept: int
    passed: int
    encrypted: int
    scratch: int

    @classmethod
    def of(cls, mask: int) -> MarkBits:
        """The lowest four bits of a mask. Raises ValueError: it has fewer."""
        bits = [1 << place for place in range(32) if mask >> place & 1]
        if len(bits) < _BITS:
            raise ValueError(f"mark mask {mask:#x} has fewer than {_BITS} bits")
        return cls(*bits[:_BITS])
