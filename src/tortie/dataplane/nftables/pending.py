"""Chains that count what staged policies would decide, and decide nothing themselves.

Where something staged concerns a list of policies, the endpoint's chain jumps here before the first tier that would
be different. Each tier is gone through as if everything staged were enforced: staged policies count what they match,
enforced ones only lead the way. A decision is a bit of the mark, cleared afterwards: no rule here holds a verdict but
jump and return, so that none can change a packet's fate.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.base.hashes import short_hash
from tortie.dataplane.nftables.alternatives import SetForms, conjunctions
from tortie.dataplane.nftables.model import KernelRule
from tortie.dataplane.nftables.rules import END, GUIDE, ChainWriter, marked, rule_meaning, set_mark
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PolicyList, TierPolicies
from tortie.netlink.nftables_expressions import Verdict, counter, verdict

PREFIX = "pending-"
"""How names of these chains begin."""

KINDS = (f"{PREFIX}list", f"{PREFIX}tier", f"{PREFIX}policy")
"""Kinds of chains: each leads to chains of the next."""

_RETURN = verdict(Verdict.RETURN)


class Section(msgspec.Struct, frozen=True, gc=False):
    """The tiers that would be different, and how many enforced ones stand before them."""

    position: int
    tiers: tuple[TierPolicies, ...]


def section(policies: PolicyList) -> Section | None:
    """What is to be gone through; None when nothing staged would count anything."""
    if policies.pending is None:
        return None
    before = _common(policies.tiers, policies.pending)
    after = _common(policies.tiers[before:][::-1], policies.pending[before:][::-1])
    tiers = policies.pending[before : len(policies.pending) - after]
    staged = any(policy.is_staged for tier in tiers for policy in tier.policies)
    return Section(before, tiers) if staged else None


def list_chain(tiers: Sequence[TierPolicies], direction: Direction) -> str:
    """Name of the chain that goes through tiers."""
    return f"{KINDS[0]}-{direction.value}-{short_hash(msgspec.json.encode(tiers))}"


def tier_chain(tier: TierPolicies, direction: Direction) -> str:
    """Name of the chain that goes through the policies of a tier."""
    return f"{KINDS[1]}-{direction.value}-{short_hash(msgspec.json.encode(tier))}"


def policy_chain(policy: PolicyId, direction: Direction) -> str:
    """Name of the chain of a policy's rules."""
    return f"{KINDS[2]}-{direction.value}-{short_hash(f'{policy.kind}/{policy.namespace}/{policy.name}')}"


def tier_origin(tier: TierPolicies) -> PolicyId:
    """Under what name the end of a tier counts that would come to be."""
    return PolicyId("PendingTier", "", tier.name)


def enter(writer: ChainWriter, tiers: Sequence[TierPolicies], direction: Direction, settings: Settings) -> None:
    """Append to an endpoint's chain: go through the tiers, and forget what they would have decided."""
    bits = MarkBits.of(settings.mark_mask)
    writer.jump(list_chain(tiers, direction))
    writer.add("clear", set_mark(0, bits.passed | bits.scratch))


def list_rules(tiers: Sequence[TierPolicies], direction: Direction, settings: Settings) -> tuple[KernelRule, ...]:
    """Tiers in order, until one decides."""
    decided = MarkBits.of(settings.mark_mask).scratch
    writer = ChainWriter(list_chain(tiers, direction), PolicyId("Pending", "", "list"), direction)
    for tier in tiers:
        writer.jump(tier_chain(tier, direction))
        writer.add("return", marked(decided) + _RETURN)
    return writer.rules()


def tier_rules(tier: TierPolicies, direction: Direction, settings: Settings) -> tuple[KernelRule, ...]:
    """Policies in order, until one decides or passes; the end counts what it would deny."""
    bits = MarkBits.of(settings.mark_mask)
    writer = ChainWriter(tier_chain(tier, direction), tier_origin(tier), direction)
    writer.add("clear", set_mark(0, bits.passed | bits.scratch))
    for policy in tier.policies:
        writer.jump(policy_chain(policy, direction))
        writer.add("return", marked(bits.passed | bits.scratch) + _RETURN)
    if tier.default_action is not Action.PASS:
        writer.add("would-drop", counter() + set_mark(bits.scratch, bits.scratch), END)
    return writer.rules()


def policy_rules(policy: Policy, direction: Direction, forms: SetForms, settings: Settings) -> tuple[KernelRule, ...]:
    """The rules of a policy: what they match is counted if it is staged, and marked as decided or passed."""
    bits = MarkBits.of(settings.mark_mask)
    chain = policy_chain(policy.id, direction)
    writer = ChainWriter(chain, policy.id, direction)
    for rule in policy.rules(direction):
        if rule.action is Action.LOG and not policy.id.is_staged:
            continue
        bit = bits.passed if rule.action is Action.PASS else bits.scratch
        then = b"" if rule.action is Action.LOG else set_mark(bit, bit) + _RETURN
        for conditions in conjunctions(rule, forms):
            if policy.id.is_staged:
                action, meaning = f"would-{rule.action.value.lower()}", rule_meaning(rule)
                writer.match(action, conditions, counter() + then, rule.index, meaning)
            else:
                writer.match("lead", conditions, then, GUIDE)
    return writer.rules()


def _common(left: Sequence[TierPolicies], right: Sequence[TierPolicies]) -> int:
    """How many at the beginning are the same."""
    shorter = min(len(left), len(right))
    return next((place for place in range(shorter) if left[place] != right[place]), shorter)
