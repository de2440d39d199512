"""Kernel rules from policies: conditions, a counter, what the action does, and a tag that tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from tortie.base.hashes import short_hash
from tortie.dataplane.nftables.alternatives import SetForms, conjunctions
from tortie.dataplane.nftables.log_rules import log_expressions
from tortie.dataplane.nftables.matches import Condition
from tortie.dataplane.nftables.model import KernelRule, RuleSet
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.desired.policy import Action, Direction, Policy, PolicyId, Rule, Stage, rule_identity
from tortie.netlink.nftables_expressions import (
    Meta,
    Operator,
    Verdict,
    bitwise,
    compare,
    counter,
    host32,
    lookup,
    meta,
    notrack,
    set_meta,
    verdict,
)

END, ESTABLISHED, INVALID, UNKNOWN, DISCOVERY, GUIDE, FAILSAFE, ENCAPSULATED = -1, -2, -3, -4, -5, -6, -7, -8
"""Indexes of rules that nobody wrote: what nothing decided, connections allowed before, packets that conntrack cannot
place, unknown interfaces, IPv6 discovery, rules that only lead the way, failsafe ports of the host, and tunnels that
workloads make."""

Rendered: TypeAlias = tuple[PolicyId, Direction, tuple[KernelRule, ...]]
"""Whose rules these are, and the rules; of base chains the name in the identity is the chain."""

PASS = b"pass"
"""How tags of rules with action Pass begin."""

_COUNTER = counter()
_ACCEPT = verdict(Verdict.ACCEPT)
_DROP = verdict(Verdict.DROP)
_RETURN = verdict(Verdict.RETURN)


class ChainWriter:
    """Collects the rules of one chain.

    Args:
        chain: name of the chain, from which names of the rules' own sets are made.
        origin, direction: with a rule's index, its identity.
    """

    def __init__(self, chain: str, origin: PolicyId, direction: Direction) -> None:
        self._chain = chain
        self._origin = origin
        self._direction = direction
        self._rules: list[KernelRule] = []
        self._sets = 0

    def rules(self) -> tuple[KernelRule, ...]:
        """All so far."""
        return tuple(self._rules)

    def add(self, action: str, expressions: bytes, index: int = GUIDE, target: str = "") -> None:
        """Append a rule that has no set of its own."""
        self._add(action, expressions, (), index, target)

    def jump(self, chain: str) -> None:
        """Append a rule that leads to another chain, and comes back."""
        self.add("jump", verdict(Verdict.JUMP, chain), target=chain)

    def match(
        self, action: str, conditions: Iterable[Condition], then: bytes, index: int = GUIDE, meaning: str = ""
    ) -> None:
        """Append a rule: conditions, then what is to be done; `meaning` tells what was written from what was before."""
        sets: list[RuleSet] = []
        parts = [self._place(condition, sets) for condition in conditions]
        parts.append(then)
        self._add(action, b"".join(parts), tuple(sets), index, "", meaning)

    def _place(self, condition: Condition, sets: list[RuleSet]) -> bytes:
        """The expressions of a condition, its set given a name that is used once in the table."""
        if condition.declaration is None:
            return condition.expressions
        name = f"{self._chain}.{self._sets}"
        self._sets += 1
        sets.append(RuleSet(name, condition.declaration, condition.records))
        return condition.expressions + lookup(name, condition.inverted)

    def _add(
        self,
        action: str,
        expressions: bytes,
        sets: tuple[RuleSet, ...],
        index: int,
        target: str,
        meaning: str = "",
    ) -> None:
        identity = rule_identity(self._origin, self._direction, index)
        content = expressions + b"".join(one.records for one in sets)
        tag = f"{action} {identity:016x} {short_hash(content)} {meaning}".rstrip().encode()
        self._rules.append(KernelRule(tag, expressions, sets, index, target))


def policy_rules(
    chain: str, policy: Policy, direction: Direction, forms: SetForms, settings: Settings
) -> tuple[KernelRule, ...]:
    """The rules of a policy's chain in one direction."""
    writer = ChainWriter(chain, policy.id, direction)
    for rule in policy.rules(direction):
        then = _consequence(rule, policy, direction, settings)
        meaning = rule_meaning(rule)
        for conditions in conjunctions(rule, forms):
            writer.match(rule.action.value.lower(), conditions, then, rule.index, meaning)
    return writer.rules()


def can_match(rule: Rule, forms: SetForms) -> bool:
    """Whether the rule becomes any rule of the kernel: one whose conditions exclude each other does not."""
    return next(iter(conjunctions(rule, forms)), None) is not None


def set_mark(bits: int, mask: int) -> bytes:
    """Set those bits of the mark that `mask` has to those of `bits`."""
    return meta(Meta.MARK) + bitwise(host32(~mask & 0xFFFFFFFF), host32(bits)) + set_meta(Meta.MARK)


def marked(bits: int) -> bytes:
    """Matches when the mark has any of these bits."""
    return meta(Meta.MARK) + bitwise(host32(bits), bytes(4)) + compare(bytes(4), Operator.NOT_EQUAL)


def passes(tags: Iterable[bytes]) -> bool:
    """Whether rules with these tags can pass to the next tier."""
    return any(tag.startswith(PASS) for tag in tags)


def identity_of(tag: bytes) -> int:
    """The 64-bit identity in a tag; 0 if it is not one of ours."""
    parts = tag.split(b" ")
    try:
        return int(parts[1], 16) if len(parts) in (3, 4) else 0
    except ValueError:
        return 0


def rule_meaning(rule: Rule) -> str:
    """Tells a rule from others that may stand at the same place of its policy at other times."""
    return short_hash(repr(rule), 8)


def meaning_of(tag: bytes) -> str:
    """The meaning in a tag; empty for rules that nobody wrote."""
    parts = tag.split(b" ")
    return parts[3].decode(errors="replace") if len(parts) == 4 else ""


def action_of(tag: bytes) -> str:
    """What the rule does, in one word."""
    return tag.partition(b" ")[0].decode(errors="replace")


def named_sets(policy: Policy) -> Iterator[str]:
    """Every set that a policy names, in either direction."""
    for rule in (*policy.ingress, *policy.egress):
        for side in (rule.source, rule.destination):
            yield from side.sets
            yield from side.not_sets
            yield from side.port_sets
            yield from side.not_port_sets
            yield from side.service_sets


def _consequence(rule: Rule, policy: Policy, direction: Direction, settings: Settings) -> bytes:
    match rule.action:
        case Action.ALLOW:
            return _COUNTER + _allowed(policy.stage, settings) + _ACCEPT
        case Action.DENY:
            return _COUNTER + _DROP
        case Action.LOG:
            return _COUNTER + log_expressions(settings.log_prefix, policy, settings.log_rate, settings.log_group)
        case Action.PASS if policy.tier:
            passed = MarkBits.of(settings.mark_mask).passed
            return _COUNTER + set_mark(passed, passed) + _RETURN
        case Action.PASS:
            return _COUNTER + _RETURN


def _allowed(stage: Stage, settings: Settings) -> bytes:
    """What is done, before it is accepted, to a packet that a policy of this stage allows."""
    if stage is Stage.NORMAL:
        return b""
    accept = MarkBits.of(settings.mark_mask).accept
    return set_mark(accept, accept) + (notrack() if stage is Stage.UNTRACKED else b"")
