"""Routes of this node that are ours to program (kernel route protocol 80)."""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr

NORMAL_METRIC = 1024
ELEVATED_METRIC = 512
"""Of a route that is preferred to the one of the host that the workload comes from; the smaller number wins."""


class Route(msgspec.Struct, frozen=True, order=True, gc=False):
    """A route to a local workload: straight out of its interface, scope link.

    The key of a route is `destination`; two endpoints that claim one address are resolved before.

    Args:
        moving: its holder runs on, here or on another host: tracked connections of the address stay.
    """

    destination: Cidr
    interface: str
    metric: int = NORMAL_METRIC
    moving: bool = False
