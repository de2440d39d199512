"""The smallest changes that would turn a verdict: one rule edited, removed or added, each tried on the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tortie.analysis.cluster import Cluster
from tortie.analysis.walk import Peers, Walk, failures
from tortie.analysis.wording import packet_text
from tortie.calculation.verdict import Packet, evaluate
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PortRange, Rule, Side

MOST = 3
"""How many are offered."""

Policies = Mapping[PolicyId, Policy]


def remedies(cluster: Cluster, found: Walk, peers: Peers) -> list[str]:
    """What would turn the verdict of one direction, the least first, in words; at most MOST."""
    candidates = _opening(cluster, found, peers) if found.verdict.action is Action.DENY else _closing(cluster, found)
    turned: list[str] = []
    for text, policies in candidates:
        if text not in turned and _turns(cluster, found, policies):
            turned.append(text)
    return turned[:MOST]


def _turns(cluster: Cluster, found: Walk, policies: Policies) -> bool:
    changed = {**cluster.compiled.policies, **policies}
    governing = found.end.governing(found.direction)
    verdict = evaluate(governing, found.direction, found.packet, changed, cluster.compiled.index)
    return verdict.action is not found.verdict.action


def _opening(cluster: Cluster, found: Walk, peers: Peers) -> Iterator[tuple[str, Policies]]:
    for met in found.policies:
        policy = cluster.compiled.policies[met.policy]
        for rule in policy.rules(found.direction):
            if rule.action is Action.ALLOW:
                yield from _widened(cluster, policy, rule, found, peers)
    step = found.verdict.decided_by
    if step.policy is not None and step.index is not None:
        policy = cluster.compiled.policies[step.policy]
        yield f"remove {_place(policy.id, found, step.index)}", _without(policy, found.direction, step.index)
    for met in reversed(found.policies):
        policy = cluster.compiled.policies[met.policy]
        allow = _exactly(found.packet, Action.ALLOW)
        text = f"add to {policy.id} a first rule of {found.direction.value} that allows {_packet(found)}"
        yield text, _changed(policy, found.direction, (allow, *policy.rules(found.direction)))


def _widened(cluster: Cluster, policy: Policy, rule: Rule, found: Walk, peers: Peers) -> Iterator[tuple[str, Policies]]:
    """A rule without the only condition that failed."""
    failed = list(failures(cluster, rule, found.packet, peers))
    if len(failed) == 1:
        reason, lifted = failed[0]
        rules = tuple(lifted if one is rule else one for one in policy.rules(found.direction))
        text = f"let {_place(policy.id, found, rule.index)} match: now {reason}"
        yield text, _changed(policy, found.direction, rules)


def _closing(cluster: Cluster, found: Walk) -> Iterator[tuple[str, Policies]]:
    step = found.verdict.decided_by
    if step.policy is None or step.index is None:
        return
    policy = cluster.compiled.policies[step.policy]
    yield f"remove {_place(policy.id, found, step.index)}", _without(policy, found.direction, step.index)
    deny = _exactly(found.packet, Action.DENY)
    text = f"add to {policy.id} a first rule of {found.direction.value} that denies {_packet(found)}"
    yield text, _changed(policy, found.direction, (deny, *policy.rules(found.direction)))


def _packet(found: Walk) -> str:
    return f"{packet_text(found.packet)} {'from' if found.direction is Direction.INGRESS else 'to'} the other end"


def _place(policy: PolicyId, found: Walk, index: int) -> str:
    return f"{policy} {found.direction.value}[{index}]"


def _without(policy: Policy, direction: Direction, index: int) -> Policies:
    return _changed(policy, direction, tuple(rule for rule in policy.rules(direction) if rule.index != index))


def _changed(policy: Policy, direction: Direction, rules: tuple[Rule, ...]) -> Policies:
    return {policy.id: msgspec.structs.replace(policy, **{direction.value: rules})}


def _exactly(packet: Packet, action: Action) -> Rule:
    """A rule that stands for one about this packet."""
    port = packet.destination_port
    service = Side(ports=(PortRange(port, port),)) if port is not None else Side()
    return Rule(action, -1, family=packet.family, protocol=packet.protocol, destination=service)
