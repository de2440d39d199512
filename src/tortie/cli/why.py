"""What `tortie explain A B` tells: both directions of traffic, rule by rule, and what would turn the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tortie.analysis.cluster import Cluster
from tortie.analysis.explanation import Explanation, Judged, explain
from tortie.analysis.nodes import Nodes
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.walk import Met, PolicyMet
from tortie.analysis.who import Party, Service, find_party
from tortie.analysis.wording import describe, packet_text
from tortie.base.addresses import Cidr
from tortie.calculation.verdict import Step
from tortie.cli.way import way_lines, way_plain
from tortie.desired.policy import Action, Direction

FEW_PASSED = 12
"""How many policies that do not select an end are listed, unless all are asked for."""

_MARKS = {Action.ALLOW: "allowed", Action.DENY: "DENIED"}


def explanations(
    cluster: Cluster, parties: tuple[Party, Party], service: Service, nodes: Nodes | None = None
) -> list[Explanation]:
    """One explanation for each pair that fares differently."""
    return explain(Reachability(Space(), cluster), *parties, service, nodes)


def parties(cluster: Cluster, words: tuple[str, str], namespace: str) -> tuple[Party, Party]:
    """Who is meant. Raises InvalidResource."""
    return find_party(cluster, words[0], namespace), find_party(cluster, words[1], namespace)


def text(found: Explanation, *, everything: bool = False) -> str:
    """One explanation for people."""
    return "\n".join(_lines(found, everything))


def plain(found: Explanation) -> dict[str, Any]:
    """One explanation for machines."""
    return {
        "from": _end(found, 0),
        "to": _end(found, 1),
        "packet": packet_text(found.packet),
        "verdict": found.verdict.value,
        "allowed": describe(found.allowed, found.packet.family),
        "directions": [_plain_direction(one) for one in found.directions],
        "way": way_plain(found.journey),
        "unknown": list(found.unknown),
    }


def _lines(found: Explanation, everything: bool) -> Iterator[str]:
    yield f"{_end(found, 0)} → {_end(found, 1)}   {packet_text(found.packet)}: {_MARKS[found.verdict]}"
    yield f"{_between(found)}: {describe(found.allowed, found.packet.family)}"
    for one in found.directions:
        yield ""
        yield from _direction(one, everything)
    if not found.directions:
        yield "no policy of this cluster is asked about it at either end"
    if found.journey is not None:
        yield ""
        yield from way_lines(found.journey)
    yield from (f"unknown: {one}" for one in found.unknown)


def _between(found: Explanation) -> str:
    """What hosts let pass besides policy, and spare, is in no policy."""
    ends = (found.source, found.destination)
    if found.journey is not None and any(end is not None and end.key.kind == "HostEndpoint" for end in ends):
        return "policy of the ends alone, between these two, lets through"
    return "between these two gets through"


def _direction(one: Judged, everything: bool) -> Iterator[str]:
    walk = one.walk
    verdict = walk.verdict
    decision = _decision(verdict.decided_by, walk.direction)
    yield f"{walk.direction.value} of {walk.end.name}: {_MARKS[verdict.action]}, {decision}"
    tier = None
    for met in walk.policies:
        if met.tier != tier:
            tier = met.tier
            yield f"  tier {tier}" if tier else "  profiles"
        yield from _policy(met, walk.direction)
    ending = verdict.decided_by
    if ending.policy is None:
        yield f"  ✗ {_decision(ending, walk.direction)}"
    passed = list(walk.passed_over.items())
    shown = passed if everything else passed[:FEW_PASSED]
    if shown:
        yield "  policies that do not apply"
        yield from (f"    - {policy}: {why}" for policy, why in shown)
    if len(shown) < len(passed):
        yield f"    - and {len(passed) - len(shown)} more: --all lists them"
    if one.remedies:
        yield f"  to have it {'denied' if verdict.action is Action.ALLOW else 'allowed'}, one of"
        yield from (f"    * {remedy}" for remedy in one.remedies)


def _policy(met: PolicyMet, direction: Direction) -> Iterator[str]:
    yield f"    {met.policy}" + (f"   (selects {met.why})" if met.why else "")
    for rule in met.rules:
        yield f"      {_rule(rule, direction)}"
    if not met.rules:
        yield f"      no rule of {direction.value}"


def _rule(rule: Met, direction: Direction) -> str:
    sign = "-" if rule.reasons else "✓" if rule.action is not Action.DENY else "✗"
    because = f" ({'; '.join(rule.because)})" if rule.because else ""
    why = f": {'; '.join(rule.reasons)}" if rule.reasons else f": matches{because}"
    return f"{sign} {direction.value}[{rule.index}] {rule.action.value}{why}"


def _decision(step: Step, direction: Direction) -> str:
    if step.policy is not None:
        return f"{step.action.value} by {step.policy} {direction.value}[{step.index}]"
    if step.tier:
        return f"no rule of tier {step.tier} matches, and the tier ends with {step.action.value}"
    return "no tier decides and no profile allows it"


def _plain_direction(one: Judged) -> dict[str, Any]:
    walk = one.walk
    return {
        "direction": walk.direction.value,
        "end": walk.end.name,
        "verdict": walk.verdict.action.value,
        "decidedBy": _decision(walk.verdict.decided_by, walk.direction),
        "policies": [
            {
                "policy": str(met.policy),
                "tier": met.tier,
                "selector": met.why,
                "rules": [
                    {
                        "index": rule.index,
                        "action": rule.action.value,
                        "matches": not rule.reasons,
                        "why": list(rule.reasons or rule.because),
                    }
                    for rule in met.rules
                ],
            }
            for met in walk.policies
        ],
        "notApplying": {str(policy): why for policy, why in walk.passed_over.items()},
        "remedies": list(one.remedies),
    }


def _end(found: Explanation, index: int) -> str:
    end: Any = (found.source, found.destination)[index]
    address: Cidr = found.addresses[index]
    return address.text if end is None else f"{end.name} ({address.text})"
