"""The fate of one packet under the compiled form of policy, and the line that decided it: the oracle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.calculation.setindex import SetIndex
from tortie.desired.policy import (
    Action,
    Direction,
    ICMPMatch,
    Policy,
    PolicyId,
    PolicyList,
    PortRange,
    Rule,
    SetId,
    Side,
    TierPolicies,
)

ICMP_PROTOCOL = {4: 1, 6: 58}
"""Protocol number of ICMP in each family (RFC 792, RFC 4443)."""


class Packet(msgspec.Struct, frozen=True, gc=False):
    """The first packet of a flow, as an endpoint sees it.

    Args:
        family: 4 or 6.
        protocol: IP protocol number.
        source, destination: addresses as unsigned integers.
        source_port, destination_port: None where the protocol has no ports.
        icmp_type, icmp_code: None where the protocol is not the family's ICMP.
    """

    family: int
    protocol: int
    source: int
    destination: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class Step(msgspec.Struct, frozen=True, gc=False):
    """Something that took effect on the way: a rule that matched, or the end of a tier or of all profiles.

    Args:
        action: what it did. Deny at the end of a tier or of the profiles is that of the stage itself.
        tier: name of the tier, empty among profiles.
        policy: None at the end of a tier and at the end of the profiles.
        index: of the rule within its policy and direction, None without a policy.
    """

    action: Action
    tier: str = ""
    policy: PolicyId | None = None
    index: int | None = None

    def __str__(self) -> str:
        if self.policy is not None:
            return f"{self.action.value} by {self.policy} rule {self.index}"
        return f"{self.action.value} by end of tier {self.tier}" if self.tier else f"{self.action.value}: no profile"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the packet (`action` is ALLOW or DENY), and every step up to the deciding one."""

    action: Action
    decided_by: Step
    trace: tuple[Step, ...]


class TierVerdict(msgspec.Struct, frozen=True, gc=False):
    """What tiers alone make of the packet (PASS when none decides), and every step."""

    action: Action
    trace: tuple[Step, ...]


def evaluate(
    policy_list: PolicyList,
    direction: Direction,
    packet: Packet,
    policies: Mapping[PolicyId, Policy],
    sets: SetIndex,
) -> Verdict:
    """Judge a packet that belongs to no established flow, in one direction of one endpoint.

    Raises:
        KeyError: the list names a policy, or a rule a set, that is not given.
    """
    passage = evaluate_tiers(policy_list.tiers, direction, packet, policies, sets)
    trace = list(passage.trace)
    if passage.action is not Action.PASS:
        return _verdict(passage.action, trace)
    for profile in policy_list.profiles:
        decision = _policy(policies[profile], direction, packet, sets, trace)
        if decision is Action.ALLOW or decision is Action.DENY:
            return _verdict(decision, trace)
    trace.append(Step(Action.DENY))
    return _verdict(Action.DENY, trace)


def evaluate_tiers(
    tiers: Iterable[TierPolicies],
    direction: Direction,
    packet: Packet,
    policies: Mapping[PolicyId, Policy],
    sets: SetIndex,
) -> TierVerdict:
    """As `evaluate`, of tiers alone. Raises KeyError likewise."""
    trace: list[Step] = []
    for tier in tiers:
        action = _tier(tier, direction, packet, policies, sets, trace)
        if action is not Action.PASS:
            return TierVerdict(action, tuple(trace))
    return TierVerdict(Action.PASS, tuple(trace))


def rule_matches(rule: Rule, packet: Packet, sets: SetIndex) -> bool:
    """Whether every match of a rule holds for the packet."""
    return (
        rule.family in (None, packet.family)
        and rule.protocol in (None, packet.protocol)
        and rule.not_protocol != packet.protocol
        and (rule.icmp is None or _icmp_matches(rule.icmp, packet))
        and not (rule.not_icmp is not None and _icmp_matches(rule.not_icmp, packet))
        and _side_matches(rule.source, packet, packet.source, packet.source_port, sets)
        and _side_matches(rule.destination, packet, packet.destination, packet.destination_port, sets)
    )


def _verdict(action: Action, trace: list[Step]) -> Verdict:
    return Verdict(action, trace[-1], tuple(trace))


def _tier(
    tier: TierPolicies,
    direction: Direction,
    packet: Packet,
    policies: Mapping[PolicyId, Policy],
    sets: SetIndex,
    trace: list[Step],
) -> Action:
    for policy_id in tier.policies:
        action = _policy(policies[policy_id], direction, packet, sets, trace)
        if action is not None:
            return action
    trace.append(Step(tier.default_action, tier.name))
    return tier.default_action


def _policy(policy: Policy, direction: Direction, packet: Packet, sets: SetIndex, trace: list[Step]) -> Action | None:
    """The first action that ends the policy, or None when it runs out of rules."""
    for rule in policy.rules(direction):
        if rule_matches(rule, packet, sets):
            trace.append(Step(rule.action, policy.tier, policy.id, rule.index))
            if rule.action is not Action.LOG:
                return rule.action
    return None


def _icmp_matches(match: ICMPMatch, packet: Packet) -> bool:
    return (
        packet.protocol == ICMP_PROTOCOL[packet.family]
        and packet.icmp_type == match.type
        and match.code in (None, packet.icmp_code)
    )


def _side_matches(side: Side, packet: Packet, address: int, port: int | None, sets: SetIndex) -> bool:
    return address_matches(side, packet.family, address, sets) and _port_matches(side, packet, address, port, sets)


def address_matches(side: Side, family: int, address: int, sets: SetIndex) -> bool:
    """Whether what one side of a rule says of the address alone holds for it."""
    return (
        (not side.nets or _in_nets(family, address, side.nets))
        and not _in_nets(family, address, side.not_nets)
        and all(sets.has_address(set_id, family, address) for set_id in side.sets)
        and not any(sets.has_address(set_id, family, address) for set_id in side.not_sets)
    )


def _port_matches(side: Side, packet: Packet, address: int, port: int | None, sets: SetIndex) -> bool:
    def listed(set_ids: Iterable[SetId]) -> Iterable[bool]:
        return (sets.has_port(set_id, packet.family, address, packet.protocol, port) for set_id in set_ids)

    wanted = not side.ports and not side.port_sets
    return (
        (wanted or _in_ranges(port, side.ports) or any(listed(side.port_sets)))
        and not _in_ranges(port, side.not_ports)
        and not any(listed(side.not_port_sets))
        and all(listed(side.service_sets))
    )


def _in_nets(family: int, address: int, nets: tuple[Cidr, ...]) -> bool:
    return any(net.family == family and net.address <= address <= net.last for net in nets)


def _in_ranges(port: int | None, ranges: tuple[PortRange, ...]) -> bool:
    return port is not None and any(span.first <= port <= span.last for span in ranges)
