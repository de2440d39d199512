"""The compiled form of policy, asked about all packets at once: which decision takes which of them.

The order of tiers, policies and rules is that of `tortie.calculation.verdict`, which judges one packet; here
the same form is walked from its end to its beginning, and every rule takes its packets from what comes after it.
An address that is given is looked up as the oracle does; one that is not stands for all addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tortie.analysis.diagram import Node, intervals_of
from tortie.analysis.packets import FAMILIES, PORT_PROTOCOLS, Field, PacketSet, Space
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import Step, address_matches
from tortie.desired.packed import WIDTHS, unpack
from tortie.desired.policy import (
    Action,
    Direction,
    Policy,
    PolicyId,
    PolicyList,
    PortRange,
    Rule,
    SetId,
    Side,
    TierPolicies,
)
from tortie.desired.sets import IPSet


class Ends(msgspec.Struct, frozen=True, gc=False):
    """What is known of the packets: addresses of full length and of one family; None for any.

    Args:
        family: when it is known, though no address is.
    """

    source: Cidr | None = None
    destination: Cidr | None = None
    family: int | None = None

    @property
    def families(self) -> tuple[int, ...]:
        """Which the packets may be of; none when the two ends have none in common."""
        said = {one.family for one in (self.source, self.destination) if one} | ({self.family} - {None})
        return tuple(family for family in FAMILIES if said <= {family})


ANY = Ends()


class Compiled(msgspec.Struct, frozen=True):
    """All policies and sets that lists and rules may name."""

    policies: Mapping[PolicyId, Policy]
    sets: Mapping[SetId, IPSet]
    index: SetIndex

    @classmethod
    def of(cls, policies: Mapping[PolicyId, Policy], sets: Mapping[SetId, IPSet]) -> Compiled:
        """With the index that membership tests need."""
        return cls(policies, sets, SetIndex(sets.values()))


class Judge:
    """Asks one compiled form. Raises KeyError for a policy or set that is named but not given."""

    def __init__(self, space: Space, compiled: Compiled) -> None:
        self.space = space
        self.compiled = compiled
        self._members: dict[tuple[SetId, Field], PacketSet] = {}
        self._matching: dict[tuple[Rule, Ends], PacketSet] = {}

    def decisions(self, governing: PolicyList, way: Direction, ends: Ends = ANY) -> Node:
        """For every packet the step that decides it, as `verdict.evaluate` does: its `decided_by`.

        Packets of a family that the ends do not have are False.
        """
        forest = self.space.forest
        result = forest.leaf(Step(Action.DENY))
        for profile in reversed(governing.profiles):
            result = self._policy(self.compiled.policies[profile], way, ends, onwards=result, passed=result)
        for tier in reversed(governing.tiers):
            result = self._tier(tier, way, ends, result)
        return forest.where(self._families(ends).node, result, forest.nothing)

    def tier_decisions(self, tiers: Iterable[TierPolicies], way: Direction, ends: Ends = ANY) -> Node:
        """As `verdict.evaluate_tiers`: what no tier decides has the step PASS."""
        forest = self.space.forest
        result = forest.leaf(Step(Action.PASS))
        for tier in reversed(tuple(tiers)):
            result = self._tier(tier, way, ends, result)
        return forest.where(self._families(ends).node, result, forest.nothing)

    def having(self, decisions: Node, action: Action) -> PacketSet:
        """The packets whose decision is this action."""
        return self.space.wrap(self.space.forest.mapped(decisions, lambda step: _acts(step, action)))

    def allowed(self, governing: PolicyList, way: Direction, ends: Ends = ANY) -> PacketSet:
        """The packets that are allowed in one direction."""
        return self.having(self.decisions(governing, way, ends), Action.ALLOW)

    def matching(self, rule: Rule, ends: Ends = ANY) -> PacketSet:
        """The packets that a rule matches, as `verdict.rule_matches` does."""
        key = (rule, ends)
        found = self._matching.get(key)
        if found is None:
            found = self._matching[key] = self._match(rule, ends)
        return found

    def _tier(self, tier: TierPolicies, way: Direction, ends: Ends, onwards: Node) -> Node:
        result = onwards
        if tier.default_action is Action.DENY:
            result = self.space.forest.leaf(Step(Action.DENY, tier.name))
        for policy in reversed(tier.policies):
            result = self._policy(self.compiled.policies[policy], way, ends, onwards=result, passed=onwards)
        return result

    def _policy(self, policy: Policy, way: Direction, ends: Ends, *, onwards: Node, passed: Node) -> Node:
        """What the policy decides; the rest goes `onwards`, or where it is `passed` to."""
        forest = self.space.forest
        for rule in reversed(policy.rules(way)):
            if rule.action is Action.LOG:
                continue
            here = forest.leaf(Step(rule.action, policy.tier, policy.id, rule.index))
            onwards = forest.where(
                self.matching(rule, ends).node, passed if rule.action is Action.PASS else here, onwards
            )
        return onwards

    def _families(self, ends: Ends) -> PacketSet:
        found = self.space.none
        for family in ends.families:
            found |= self.space.family(family)
        return found

    def _match(self, rule: Rule, ends: Ends) -> PacketSet:
        found = self._families(ends)
        if rule.family is not None:
            found &= self.space.family(rule.family)
        for side, field, address in (
            (rule.source, Field.SOURCE, ends.source),
            (rule.destination, Field.DESTINATION, ends.destination),
        ):
            if not found:
                return found
            found &= self._addresses(side, field, address) & self._ports(side, field, address)
        if rule.protocol is not None:
            found &= self.space.protocol(rule.protocol)
        if rule.not_protocol is not None:
            found -= self.space.protocol(rule.not_protocol)
        if rule.icmp is not None:
            found &= self.space.icmp(rule.icmp.type, rule.icmp.code)
        if rule.not_icmp is not None:
            found -= self.space.icmp(rule.not_icmp.type, rule.not_icmp.code)
        return found

    def _addresses(self, side: Side, field: Field, address: Cidr | None) -> PacketSet:
        if address is not None:
            matches = address_matches(side, address.family, address.address, self.compiled.index)
            return self.space.all if matches else self.space.none
        found = self.space.nets(field, side.nets) if side.nets else self.space.all
        for name in side.sets:
            found &= self._set(name, field)
        for name in side.not_sets:
            found -= self._set(name, field)
        return found - self.space.nets(field, side.not_nets)

    def _ports(self, side: Side, field: Field, address: Cidr | None) -> PacketSet:
        if not (side.ports or side.port_sets or side.not_ports or side.not_port_sets or side.service_sets):
            return self.space.all
        found = self.space.all
        if side.ports or side.port_sets:
            found = self._any(self._listed(name, field, address) for name in side.port_sets)
            found |= self._ranges(field, side.ports)
        found -= self._ranges(field, side.not_ports)
        found -= self._any(self._listed(name, field, address) for name in side.not_port_sets)
        for name in side.service_sets:
            found &= self._listed(name, field, address)
        return found

    def _ranges(self, field: Field, ranges: tuple[PortRange, ...]) -> PacketSet:
        return self.space.ports(_port_of(field), ((one.first, one.last) for one in ranges))

    def _any(self, parts: Iterable[PacketSet]) -> PacketSet:
        found = self.space.none
        for part in parts:
            found |= part
        return found

    def _set(self, name: SetId, field: Field) -> PacketSet:
        """The packets whose address is in a set."""
        key = (name, field)
        if key not in self._members:
            members = self.compiled.sets[name].members
            found = self.space.nets(field, (*members.nets4, *members.nets6))
            for family, packed in ((4, members.hosts4), (6, members.hosts6)):
                hosts = (int.from_bytes(one, "big") for one in unpack(packed, BITS[family] // 8))
                if packed:
                    found |= self.space.addresses(field, family, intervals_of((one, one) for one in hosts))
            self._members[key] = found
        return self._members[key]

    def _listed(self, name: SetId, field: Field, address: Cidr | None) -> PacketSet:
        """The packets whose address, protocol and port are in a set."""
        if address is not None:
            return self._any(self._entries(name, field, address.family, address))
        key = (name, field)
        if key not in self._members:
            self._members[key] = self._any(
                part for family in FAMILIES for part in self._entries(name, field, family, None)
            )
        return self._members[key]

    def _entries(self, name: SetId, field: Field, family: int, address: Cidr | None) -> Iterable[PacketSet]:
        """One set of packets for each protocol and port that a set lists."""
        members = self.compiled.sets[name].members
        packed = members.ports4 if family == 4 else members.ports6
        holders: dict[tuple[int, int], list[int]] = {}
        for record in unpack(packed, WIDTHS[f"ports{family}"]):
            holder = int.from_bytes(record[:-3], "big")
            if address is None or address.address == holder:
                holders.setdefault((record[-3], int.from_bytes(record[-2:], "big")), []).append(holder)
        for (protocol, port), hosts in holders.items():
            if protocol in PORT_PROTOCOLS:
                here = self.space.protocol(protocol) & self.space.ports(_port_of(field), [(port, port)])
                whose = self.space.addresses(field, family, intervals_of((one, one) for one in hosts))
                yield here & (whose if address is None else self.space.family(family))


def _port_of(field: Field) -> Field:
    return Field.SOURCE_PORT if field is Field.SOURCE else Field.DESTINATION_PORT


def _acts(step: object, action: Action) -> bool:
    return isinstance(step, Step) and step.action is action
