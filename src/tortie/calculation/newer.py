"""What becomes of rules with conditions that this version does not know: never more open than their author meant. Pure.

Allow and Pass match nothing, since without the unknown condition they would let through, or past the
rest of a tier, what was not meant. Deny and Log match all that the known conditions leave.
"""

from __future__ import annotations

from tortie.api.newer import DIRECTIONS, RULED_KINDS, NewerRule
from tortie.api.resource import ResourceKey
from tortie.api.rules import Rule

OPENING = frozenset({"Allow", "Pass"})
"""Actions of which too few matches are safer than too many."""

_UNKNOWN = "has a condition that this version does not know, and until it is upgraded"


def must_not_match(rule: Rule) -> bool:
    """Whether a rule is as good as absent."""
    return isinstance(rule, NewerRule) and rule.action in OPENING


def newer_conditions(key: ResourceKey, value: object) -> str:
    """Which rules of a policy or profile are not known wholly, and what comes of it; empty when all are."""
    if key.kind not in RULED_KINDS:
        return ""
    spec = getattr(value, "spec", None)
    return "; ".join(
        f"spec.{direction}[{index}] {_UNKNOWN} {_consequence(rule)}"
        for direction in DIRECTIONS
        for index, rule in enumerate(getattr(spec, direction, ()))
        if isinstance(rule, NewerRule)
    )


def _consequence(rule: Rule) -> str:
    return "matches nothing" if must_not_match(rule) else "is carried out without it"
