"""IPReservation: addresses that are never given out automatically."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class IPReservationSpec(Model, frozen=True, kw_only=True):
    """Prefixes or addresses of either family."""

    reserved_cidrs: tuple[str, ...] = msgspec.field(default=(), name="reservedCIDRs")


class IPReservation(Resource, frozen=True, kw_only=True):
    """A reservation of the cluster."""

    kind: ClassVar[str] = "IPReservation"
    plural: ClassVar[str] = "ipreservations"

    spec: IPReservationSpec = msgspec.field(default_factory=IPReservationSpec)
