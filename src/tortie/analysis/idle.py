"""Policies that govern nobody, and rules that decide nothing, for no packet from or to anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tortie.analysis.cluster import End
from tortie.analysis.diagram import leaves
from tortie.analysis.reachability import Reachability
from tortie.analysis.symbolic import Ends
from tortie.calculation.verdict import Step
from tortie.desired.policy import Action, Direction, Policy, PolicyId, Rule


class Idle(msgspec.Struct, frozen=True, order=True):
    """Something that could go without a packet faring differently.

    Args:
        direction, index: of a rule; of a whole policy there are none.
    """

    policy: PolicyId
    why: str
    direction: str = ""
    index: int = -1

    def __str__(self) -> str:
        rule = f" {self.direction}[{self.index}]" if self.direction else ""
        return f"{self.policy}{rule}: {self.why}"


NOBODY = "governs nobody"
NO_PACKET = "matches no packet"
NOT_THEIRS = "matches no packet of those whom the policy governs"
TOO_LATE = "all that it matches is decided before it"


def idle(reach: Reachability) -> list[Idle]:
    """Everything that is idle; rules of tiers that pass or log are not looked at, nor are profiles."""
    governed = _governed(reach)
    found = [Idle(policy, NOBODY) for policy in reach.cluster.selectors.keys() - {policy for policy, _ in governed}]
    deciding = set(_deciding(reach))
    for (policy, way), holders in governed.items():
        found += _idle_rules(reach, reach.cluster.compiled.policies[policy], deciding, way, holders)
    return sorted(found)


Holders = set[tuple[int, int]]
"""Families and classes of addresses."""


def _governed(reach: Reachability) -> dict[tuple[PolicyId, Direction], Holders]:
    """Whom each policy governs in each direction."""
    found: dict[tuple[PolicyId, Direction], Holders] = {}
    for kind, ends in reach.kinds().items():
        for way in Direction:
            for policy in _policies(ends[0], way):
                found.setdefault((policy, way), set()).update(kind.classes)
    return found


def _policies(end: End, way: Direction) -> Iterator[PolicyId]:
    yield from (policy for tier in end.governing(way).tiers for policy in tier.policies)


Place = tuple[PolicyId | None, str, int | None]


def _idle_rules(
    reach: Reachability, policy: Policy, deciding: set[Place], way: Direction, holders: Holders
) -> Iterator[Idle]:
    rules: dict[int, list[Rule]] = {}
    for rule in policy.rules(way):
        if rule.action in (Action.ALLOW, Action.DENY):
            rules.setdefault(rule.index, []).append(rule)
    for index, parts in rules.items():
        if (policy.id, way.value, index) not in deciding:
            yield Idle(policy.id, _why(reach, parts, way, holders), way.value, index)


def _why(reach: Reachability, parts: Sequence[Rule], way: Direction, holders: Holders) -> str:
    """Why a rule, compiled into these, decides nothing."""
    if not any(reach.judge.matching(part) for part in parts):
        return NO_PACKET
    here = [reach.partitions[family].representative(number) for family, number in holders]
    own = [Ends(one, None) if way is Direction.EGRESS else Ends(None, one) for one in here]
    return TOO_LATE if any(reach.judge.matching(part, ends) for part in parts for ends in own) else NOT_THEIRS


def _deciding(reach: Reachability) -> Iterator[Place]:
    """The rules that decide some packet of somebody."""
    asked: set[tuple[int, Direction, int, int]] = set()
    for kind in reach.kinds():
        for way in Direction:
            number = kind.ingress if way is Direction.INGRESS else kind.egress
            for family, own in kind.classes:
                if (number, way, family, own) not in asked:
                    asked.add((number, way, family, own))
                    yield from _deciding_in(reach, number, way, family, own)


def _deciding_in(reach: Reachability, number: int, way: Direction, family: int, own: int) -> Iterator[Place]:
    for peer in set(reach.peer_groups(number, way, family).tolist()):
        for step in leaves(reach.decisions(number, way, family, own, peer)):
            if isinstance(step, Step):
                yield step.policy, way.value, step.index
