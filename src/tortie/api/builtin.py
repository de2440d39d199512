"""What exists without being written by anybody: three tiers and one profile."""

from __future__ import annotations

from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata
from tortie.api.rules import Rule
from tortie.api.tier import Tier, TierSpec

DEFAULT_TIER = "default"
"""The tier of policies that name none."""

TIERS = tuple(
    Tier(metadata=Metadata(name=name), spec=TierSpec(order=order, default_action=action))
    for name, order, action in (
        ("kube-admin", 1_000.0, "Pass"),
        (DEFAULT_TIER, 1_000_000.0, "Deny"),
        ("kube-baseline", 10_000_000.0, "Pass"),
    )
)
"""Tiers that every datastore has; their order and action are fixed and they cannot be deleted."""

ALLOW_PROFILE = Profile(
    metadata=Metadata(name="projectcalico-default-allow"),
    spec=ProfileSpec(ingress=(Rule(action="Allow"),), egress=(Rule(action="Allow"),)),
)
"""Allows everything both ways; never stored, never written."""
