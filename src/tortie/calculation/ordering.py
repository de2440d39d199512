"""The order of tiers and policies, and what of them governs each direction of an endpoint."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.api.policy import GlobalNetworkPolicySpec, NetworkPolicySpec
from tortie.api.tier import Tier
from tortie.calculation.staged import becomes
from tortie.desired.policy import Action, Direction, PolicyId, Stage, TierPolicies

DEFAULT_TIER = "default"
DEFAULT_TIER_ORDER = 1_000_000.0


class TierRank(msgspec.Struct, frozen=True, gc=False):
    """Order and end of a tier."""

    order: float
    default_action: Action


BUILT_IN_TIERS = {
    "kube-admin": TierRank(1_000.0, Action.PASS),
    DEFAULT_TIER: TierRank(DEFAULT_TIER_ORDER, Action.DENY),
    "kube-baseline": TierRank(10_000_000.0, Action.PASS),
}
"""Tiers that every cluster has, whether or not they have been written yet."""


class PolicyRank(msgspec.Struct, frozen=True, gc=False):
    """Where a policy stands and what it governs.

    Args:
        on_forward: of host endpoints also what is forwarded.
    """

    tier: str
    order: float
    directions: tuple[Direction, ...]
    stage: Stage = Stage.NORMAL
    on_forward: bool = False


def tier_rank(tier: Tier) -> TierRank:
    """A tier without an order has that of the default tier; any default action but Pass is Deny."""
    order = DEFAULT_TIER_ORDER if tier.spec.order is None else tier.spec.order
    return TierRank(order, Action.PASS if tier.spec.default_action == "Pass" else Action.DENY)


def policy_rank(spec: NetworkPolicySpec | GlobalNetworkPolicySpec) -> PolicyRank:
    """A policy without an order comes last in its tier; one without types governs both directions.

    Before destinations are translated nothing is sent yet, so policies of that stage govern ingress only.
    """
    stage = policy_stage(spec)
    types = {name.lower() for name in spec.types} or {direction.value for direction in Direction}
    possible = (Direction.INGRESS,) if stage is Stage.PRE_DNAT else tuple(Direction)
    return PolicyRank(
        tier=spec.tier or DEFAULT_TIER,
        order=float("inf") if spec.order is None else spec.order,
        directions=tuple(direction for direction in possible if direction.value in types),
        stage=stage,
        on_forward=isinstance(spec, GlobalNetworkPolicySpec) and spec.apply_on_forward,
    )


def policy_stage(spec: NetworkPolicySpec | GlobalNetworkPolicySpec) -> Stage:
    """When a policy is applied; policies of namespaces, which govern no host, have no choice."""
    if not isinstance(spec, GlobalNetworkPolicySpec):
        return Stage.NORMAL
    if spec.do_not_track:
        return Stage.UNTRACKED
    return Stage.PRE_DNAT if spec.pre_dnat else Stage.NORMAL


class Ordering:
    """All tiers, and the ranks of the policies that matter."""

    def __init__(self) -> None:
        self.tiers: dict[str, TierRank] = {}
        self.policies: dict[PolicyId, PolicyRank] = {}
        self._places: dict[PolicyId, tuple[float, str]] = {}

    def put(self, policy: PolicyId, rank: PolicyRank) -> None:
        """Add or replace a policy."""
        # A staged policy stands where it would stand if it were enforced.
        named = becomes(policy)
        self.policies[policy] = rank
        self._places[policy] = (rank.order, f"{named.name}/{named.namespace}/{named.kind}")

    def remove(self, policy: PolicyId) -> None:
        """Take a policy out that is there."""
        del self.policies[policy]
        del self._places[policy]

    def tiers_of(
        self, policies: Iterable[PolicyId], way: Direction, end: Action | None = None
    ) -> tuple[TierPolicies, ...]:
        """What of `policies` governs one direction; `end` takes the place of the tiers' default actions."""
        tiers: dict[str, list[PolicyId]] = {}
        for policy in sorted(policies, key=self._places.__getitem__):
            rank = self.policies[policy]
            if way in rank.directions:
                tiers.setdefault(rank.tier, []).append(policy)
        ordered = sorted(tiers, key=self._tier_key)
        return tuple(TierPolicies(name, tuple(tiers[name]), end or self._end(name)) for name in ordered)

    def in_order(self) -> list[PolicyId]:
        """All policies by tier, and in it by their own order."""
        return sorted(self.policies, key=lambda one: (self._tier_key(self.policies[one].tier), self._places[one]))

    def _rank(self, tier: str) -> TierRank | None:
        return self.tiers.get(tier) or BUILT_IN_TIERS.get(tier)

    def _end(self, tier: str) -> Action:
        rank = self._rank(tier)
        return Action.DENY if rank is None else rank.default_action

    def _tier_key(self, tier: str) -> tuple[bool, float, str]:
        # Unknown tiers come after all others, but their policies apply.
        rank = self._rank(tier)
        return (rank is None, 0.0 if rank is None else rank.order, tier)
