"""Tier: a named stage of policy evaluation, in order, with what happens when nothing in it decides."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Condition, Model, Resource


class TierSpec(Model, frozen=True, kw_only=True):
    """`default_action` is Deny or Pass and is taken when the tier's policies match an endpoint but no rule decides."""

    order: float | None = None
    default_action: str | None = None


class TierStatus(Model, frozen=True, kw_only=True):
    """Conditions set by controllers."""

    conditions: tuple[Condition, ...] = ()


class Tier(Resource, frozen=True, kw_only=True):
    """A tier of the cluster."""

    kind: ClassVar[str] = "Tier"
    plural: ClassVar[str] = "tiers"

    spec: TierSpec = msgspec.field(default_factory=TierSpec)
    status: TierStatus = msgspec.field(default_factory=TierStatus)
