"""Why a packet fares as it does: every rule that it met in one direction, and why those that did not match did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tortie.analysis.cluster import Cluster, End
from tortie.analysis.matched import port_name, range_text, set_text, why
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import Packet, Verdict, evaluate, rule_matches
from tortie.desired.policy import Action, Direction, PolicyId, Rule, SetId, Side
from tortie.selector.ast import And, Condition, Node, Not, Or

Labels = Mapping[str, str]


class Met(msgspec.Struct, frozen=True):
    """A rule on the way.

    Args:
        index: of the rule in its policy and direction.
        reasons: why it does not match; empty when it does.
        because: why it matches: the sets and prefixes that the packet's ends are in.
    """

    index: int
    action: Action
    reasons: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


class PolicyMet(msgspec.Struct, frozen=True):
    """A policy on the way, or a profile.

    Args:
        why: the selector that selects the endpoint.
        rules: those that were tried, up to the one that ended it.
    """

    policy: PolicyId
    tier: str
    why: str
    rules: tuple[Met, ...]


class Walk(msgspec.Struct, frozen=True):
    """One direction of one end.

    Args:
        end: whose policies they are.
        passed_over: policies that do not select it, and why.
    """

    end: End
    direction: Direction
    packet: Packet
    verdict: Verdict
    policies: tuple[PolicyMet, ...]
    passed_over: Mapping[PolicyId, str]


class Peers(msgspec.Struct, frozen=True):
    """Labels of both ends of a packet; None of one that is nobody's here."""

    source: Labels | None
    destination: Labels | None


def walk(cluster: Cluster, end: End, direction: Direction, packet: Packet, peers: Peers) -> Walk:
    """What a packet meets in one direction of an end."""
    compiled, governing = cluster.compiled, end.governing(direction)
    verdict = evaluate(governing, direction, packet, compiled.policies, compiled.index)
    met = _policies_met(cluster, end, direction, packet, peers, verdict)
    named = governing.policy_ids()
    passed = {
        policy: "; ".join(mismatches(selector.root, end.labels)) or f"governs no {direction.value}"
        for policy, selector in cluster.selectors.items()
        if policy not in named
    }
    return Walk(end, direction, packet, verdict, tuple(met), passed)


def _policies_met(
    cluster: Cluster, end: End, direction: Direction, packet: Packet, peers: Peers, verdict: Verdict
) -> Iterator[PolicyMet]:
    """Policies in order, up to the one that decided; where one passes, the rest of its tier is left out."""
    governing = end.governing(direction)
    for tier in governing.tiers:
        for policy in tier.policies:
            found = _policy_met(cluster, policy, tier.name, direction, packet, peers)
            yield found
            if ended := _ending(found):
                if ended is not Action.PASS:
                    return
                break
        else:
            if tier.default_action is Action.DENY:
                return
    for profile in governing.profiles:
        found = _policy_met(cluster, profile, "", direction, packet, peers)
        yield found
        if _ending(found) in (Action.ALLOW, Action.DENY):
            return


def _ending(met: PolicyMet) -> Action | None:
    last = met.rules[-1] if met.rules else None
    return last.action if last and not last.reasons and last.action is not Action.LOG else None


def _policy_met(
    cluster: Cluster, policy: PolicyId, tier: str, direction: Direction, packet: Packet, peers: Peers
) -> PolicyMet:
    rules: dict[int, Met] = {}
    for rule in cluster.compiled.policies[policy].rules(direction):
        if rule_matches(rule, packet, cluster.compiled.index):
            rules[rule.index] = Met(rule.index, rule.action, because=tuple(why(cluster, rule, packet)))
            if rule.action is not Action.LOG:
                break
        elif rule.index not in rules or len(reasons := why_not(cluster, rule, packet, peers)) < len(
            rules[rule.index].reasons
        ):
            # A rule that stands once for each family is told by the one that comes closest.
            reasons = why_not(cluster, rule, packet, peers)
            rules[rule.index] = Met(rule.index, rule.action, tuple(reasons))
    selector = cluster.selectors.get(policy)
    return PolicyMet(policy, tier, selector.canonical if selector else "", tuple(rules.values()))


def why_not(cluster: Cluster, rule: Rule, packet: Packet, peers: Peers) -> list[str]:
    """Everything about a rule that does not hold for a packet, each in words."""
    return [words for words, _ in failures(cluster, rule, packet, peers)]


Lifted = Rule
"""A rule without the condition that failed."""


def failures(cluster: Cluster, rule: Rule, packet: Packet, peers: Peers) -> Iterator[tuple[str, Lifted]]:
    """Each condition of a rule that fails, in words, and the rule without it.

    Every condition is put to the oracle alone, as a rule that says nothing else.
    """
    plain = Rule(rule.action, rule.index)
    for field in ("family", "protocol", "not_protocol", "icmp", "not_icmp"):
        value = getattr(rule, field)
        alone = msgspec.structs.replace(plain, **{field: value})
        if value is not None and not rule_matches(alone, packet, cluster.compiled.index):
            yield _field_text(field, value, packet), msgspec.structs.replace(rule, **{field: None})
    for name, labels in (("source", peers.source), ("destination", peers.destination)):
        side: Side = getattr(rule, name)
        for fields in _CONDITIONS:
            kept = Side(**{field: getattr(side, field) for field in fields})
            alone = msgspec.structs.replace(plain, **{name: kept})
            if kept != Side() and not rule_matches(alone, packet, cluster.compiled.index):
                lifted = msgspec.structs.replace(side, **dict.fromkeys(fields, ()))
                text = _side_text(cluster, name, kept, packet, labels)
                yield text, msgspec.structs.replace(rule, **{name: lifted})


_CONDITIONS = (
    ("nets",),
    ("not_nets",),
    ("sets",),
    ("not_sets",),
    ("ports", "port_sets"),
    ("not_ports", "not_port_sets"),
    ("service_sets",),
)
"""Fields of a side that are one condition together."""


def _field_text(field: str, value: object, packet: Packet) -> str:
    match field:
        case "family":
            return f"it is about IPv{value}, the packet is IPv{packet.family}"
        case "protocol":
            return f"protocol is {packet.protocol}, not {value}"
        case "not_protocol":
            return f"protocol {value} is excepted"
        case "icmp":
            return "the ICMP type or code is another"
    return "this ICMP type is excepted"


def _side_text(cluster: Cluster, name: str, side: Side, packet: Packet, labels: Labels | None) -> str:
    number = packet.source if name == "source" else packet.destination
    port = packet.source_port if name == "source" else packet.destination_port
    address = Cidr(packet.family, number, BITS[packet.family]).text
    if side.nets:
        return f"{name} {address} is not in {', '.join(map(str, side.nets))}"
    if side.not_nets:
        return f"{name} {address} is in {', '.join(map(str, side.not_nets))}, which is excepted"
    if side.sets:
        return f"{name} is not selected: {'; '.join(_unselected(cluster, side.sets, labels))}"
    if side.not_sets:
        return f"{name} is excepted by {_sets_text(cluster, side.not_sets)}"
    if side.service_sets:
        return f"{name} is no backend of {_sets_text(cluster, side.service_sets)}"
    if side.not_ports or side.not_port_sets:
        return f"{name} port {port} is excepted"
    wanted = [*map(range_text, side.ports), *(port_name(cluster, one) for one in side.port_sets)]
    return f"{name} port is {'none' if port is None else port}, not {', '.join(wanted)}"


def _unselected(cluster: Cluster, names: tuple[SetId, ...], labels: Labels | None) -> Iterator[str]:
    for name in names:
        spec = cluster.specs.get(name)
        if spec is None or spec.selector is None:
            yield f"no backend of service {spec.service if spec else name}"
        elif labels is None:
            yield f"an address of nobody known; wanted is {spec.selector.canonical}"
        else:
            yield from mismatches(spec.selector.root, labels)


def _sets_text(cluster: Cluster, names: tuple[SetId, ...]) -> str:
    return ", ".join(set_text(cluster, name) for name in names)


def mismatches(node: Node, labels: Labels) -> list[str]:
    """Why a selector does not match labels, condition by condition; empty when it does."""
    if node.matches(labels):
        return []
    match node:
        case And(operands):
            return [text for one in operands for text in mismatches(one, labels)]
        case Or(operands):
            return [" and ".join(text for one in operands for text in mismatches(one, labels))]
        case Condition(label):
            return [f"{_label_text(label, labels)} (wanted: {node.text()})"]
        case Not(Condition(label)):
            return [f"{_label_text(label, labels)} (wanted: {node.text()})"]
    return [f"wanted: {node.text()}"]


def _label_text(label: str, labels: Labels) -> str:
    return f"{label} is {labels[label]!r}" if label in labels else f"there is no label {label}"
