"""Packet cases: policy in calculated form, and the fate of packets under it.

Loaded by path. A case is about one interface: of the host (`forHostInterface`), or of a workload that a
host endpoint for all interfaces guards as well; there the host's own policy does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Host, Surroundings
from tortie.calculation.protocols import protocol_number
from tortie.calculation.setindex import SetIndex, port_record
from tortie.calculation.verdict import Packet, evaluate
from tortie.desired.failsafes import Failsafes
from tortie.desired.hosts import HostEndpoint, HostEndpointName, Place, Tiers
from tortie.desired.packed import pack
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
    Stage,
    TierPolicies,
)
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import DesiredState

Case = Mapping[str, Any]

ACTIONS = {"deny": Action.DENY, "pass": Action.PASS}
PORT_PROTOCOLS = (6, 17, 132)
"""Protocols whose packets have ports; port 0 is left out of the cases."""

GROUPS = {
    "tiers": Stage.NORMAL,
    "hostNormalTiers": Stage.NORMAL,
    "hostForwardTiers": Stage.NORMAL,
    "hostPreDNATTiers": Stage.PRE_DNAT,
}
"""The lists of tiers that a case may have; policies of one name in two of them are two policies."""


def run_case(case: Case) -> list[str]:
    """What differs from the expectation, one line for each packet; empty when all is well."""
    judge = Judge(case)
    fates = [(packet, judge.fate(packet)) for packet in case["packets"]]
    return [f"{packet}: {fate}" for packet, fate in fates if fate != packet["expect"]]


class Judge:
    """The interface of a case. Everything is seen as coming in by it."""

    def __init__(self, case: Case) -> None:
        policy = case["policy"]
        sets = [_set(name, members) for name, members in (case.get("ipSets") or {}).items()]
        self._policies = _policies(case)
        self._sets = SetIndex(sets)
        self._is_host = bool(policy.get("forHostInterface"))
        self._is_untracked = bool(policy.get("untracked"))
        normal = _tiers(policy, "hostNormalTiers")
        self._workload = PolicyList(_tiers(policy, "tiers"), _profiles(policy, "profiles"))
        self._guard = HostEndpoint(
            name=HostEndpointName("case"),
            interface="eth0",
            ingress=PolicyList(normal, _profiles(policy, "hostProfiles")),
            forward_ingress=_tiers(policy, "hostForwardTiers"),
            pre_dnat=_tiers(policy, "hostPreDNATTiers"),
            untracked_ingress=normal,
        )
        state = DesiredState(sets={one.id: one for one in sets}, policies=self._policies)
        self._host = Host(state, Surroundings(failsafes=Failsafes()))

    def fate(self, packet: Mapping[str, Any]) -> str:
        """`allow`, `deny` or, of untracked policy, `no-match`."""
        if self._is_untracked:
            action = self._at(Place.UNTRACKED_INGRESS, packet)
            return "no-match" if action is Action.PASS else action.value.lower()
        return self._tracked(packet).value.lower()

    def _tracked(self, packet: Mapping[str, Any]) -> Action:
        before = self._at(Place.PRE_DNAT, {**packet, **packet.get("preDNAT", {})})
        ends_here = bool(packet.get("toHost") or packet.get("fromHost"))
        forward = Action.PASS if ends_here else self._at(Place.FORWARD_INGRESS, packet)
        if before is Action.DENY or (before is not Action.ALLOW and forward is Action.DENY):
            return Action.DENY
        if not self._is_host:
            return evaluate(self._workload, Direction.INGRESS, _packet(packet), self._policies, self._sets).action
        return self._at(Place.INGRESS, packet) if ends_here and before is not Action.ALLOW else Action.ALLOW

    def _at(self, place: Place, packet: Mapping[str, Any]) -> Action:
        return self._host.at(self._guard, place, _packet(packet)).action


def _policies(case: Case) -> dict[PolicyId, Policy]:
    found = {}
    for group in GROUPS:
        for tier in case["policy"].get(group, ()):
            for each in tier["policies"]:
                policy_id = PolicyId(group, tier["name"], each["name"])
                found[policy_id] = Policy(policy_id, tier["name"], _rules(each, case), stage=GROUPS[group])
    for profile in (*case["policy"].get("profiles", ()), *case["policy"].get("hostProfiles", ())):
        found[_profile(profile)] = Policy(_profile(profile), "", _rules(profile, case))
    return found


def _rules(policy: Mapping[str, Any], case: Case) -> tuple[Rule, ...]:
    return tuple(_rule(rule, index, case["ipVersion"]) for index, rule in enumerate(policy.get("rules", ())))


def _tiers(policy: Mapping[str, Any], group: str) -> Tiers:
    return tuple(
        TierPolicies(
            tier["name"], tuple(PolicyId(group, tier["name"], each["name"]) for each in tier["policies"]), _end(tier)
        )
        for tier in policy.get(group, ())
    )


def _profiles(policy: Mapping[str, Any], field: str) -> tuple[PolicyId, ...]:
    return tuple(_profile(profile) for profile in policy.get(field, ()))


def _profile(profile: Mapping[str, Any]) -> PolicyId:
    return PolicyId("Profile", "", profile["name"])


def _end(tier: Mapping[str, Any]) -> Action:
    return ACTIONS[tier.get("endAction") or "deny"]


def _rule(rule: Mapping[str, Any], index: int, family: int) -> Rule:
    return Rule(
        action=Action(rule["action"].capitalize()),
        index=index,
        family=family,
        protocol=_protocol(rule.get("protocol")),
        not_protocol=_protocol(rule.get("notProtocol")),
        icmp=_icmp(rule, "icmp"),
        not_icmp=_icmp(rule, "notIcmp"),
        source=_side(rule, "src", "Src"),
        destination=_side(rule, "dst", "Dst"),
    )


def _side(rule: Mapping[str, Any], side: str, capital: str) -> Side:
    return Side(
        nets=tuple(Cidr.parse(net) for net in rule.get(f"{side}Net", ())),
        not_nets=tuple(Cidr.parse(net) for net in rule.get(f"not{capital}Net", ())),
        sets=tuple(map(SetId, rule.get(f"{side}IpSetIds", ()))),
        ports=_ports(rule.get(f"{side}Ports", ())),
        not_ports=_ports(rule.get(f"not{capital}Ports", ())),
        port_sets=tuple(map(SetId, rule.get(f"{side}NamedPortIpSetIds", ()))),
    )


def _ports(ranges: list[Mapping[str, int]]) -> tuple[PortRange, ...]:
    return tuple(PortRange(span.get("first", 0), span["last"]) for span in ranges)


def _protocol(protocol: Mapping[str, Any] | None) -> int | None:
    return None if protocol is None else protocol_number(protocol.get("name") or protocol["number"])


def _icmp(rule: Mapping[str, Any], field: str) -> ICMPMatch | None:
    if f"{field}TypeCode" in rule:
        return ICMPMatch(rule[f"{field}TypeCode"]["type"], rule[f"{field}TypeCode"]["code"])
    return ICMPMatch(rule[f"{field}Type"]) if f"{field}Type" in rule else None


def _set(name: str, members: list[str]) -> IPSet:
    """Members are prefixes, or `prefix,protocol:port`."""
    if any("," in member for member in members):
        records = []
        for member in members:
            host, _, service = member.partition(",")
            protocol, _, port = service.partition(":")
            records.append(port_record(4, Cidr.host(host).address, protocol_number(protocol), int(port)))
        return IPSet(SetId(name), Members(ports4=pack(records, 7)), ports=True)
    cidrs = [Cidr.parse(member) for member in members]
    hosts = pack([cidr.packed for cidr in cidrs if cidr.is_host], 4)
    return IPSet(SetId(name), Members(hosts4=hosts, nets4=tuple(sorted(cidr for cidr in cidrs if not cidr.is_host))))


def _packet(packet: Mapping[str, Any]) -> Packet:
    source, destination = Cidr.host(packet["src"]), Cidr.host(packet["dst"])
    unsaid = 0 if packet["protocol"] in PORT_PROTOCOLS else None
    return Packet(
        family=source.family,
        protocol=packet["protocol"],
        source=source.address,
        destination=destination.address,
        source_port=packet.get("srcPort", unsaid),
        destination_port=packet.get("dstPort", unsaid),
        icmp_type=packet.get("icmpType"),
        icmp_code=packet.get("icmpCode"),
    )
