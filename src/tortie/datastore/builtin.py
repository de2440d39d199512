"""What every cluster has without anybody writing it: three tiers and the profile that allows everything."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata
from tortie.api.rules import Rule
from tortie.api.tier import Tier, TierSpec, TierStatus


def _tier(name: str, order: float, action: str) -> Tier:
    return Tier(metadata=Metadata(name=name), spec=TierSpec(order=order, default_action=action), status=TierStatus())


BUILT_IN_TIERS: Mapping[str, Tier] = MappingProxyType(
    {
        tier.metadata.name: tier
        for tier in (
            _tier("kube-admin", 1_000, "Pass"),
            _tier("default", 1_000_000, "Deny"),
            _tier("kube-baseline", 10_000_000, "Pass"),
        )
    }
)
"""Stored when a datastore is first used, and never deleted."""

DEFAULT_ALLOW = Profile(
    metadata=Metadata(name="projectcalico-default-allow", resource_version="1"),
    spec=ProfileSpec(ingress=(Rule(action="Allow"),), egress=(Rule(action="Allow"),)),
)
"""Never stored, always there."""
