"""Packet cases: policy in calculated form, and the fate of packets under it.

Loaded by path. Cases about host interfaces are beyond what the compiled form holds of an endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tortie.base.addresses import Cidr
from tortie.calculation.protocols import protocol_number
from tortie.calculation.setindex import SetIndex, port_record
from tortie.calculation.verdict import Packet, evaluate
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
    TierPolicies,
)
from tortie.desired.sets import IPSet, Members

Case = Mapping[str, Any]

ACTIONS = {"deny": Action.DENY, "pass": Action.PASS}
PORT_PROTOCOLS = (6, 17, 132)
"""Protocols whose packets have ports; port 0 is left out of the cases."""

HOST_FIELDS = (
    "forHostInterface",
    "hostPreDNATTiers",
    "hostForwardTiers",
    "hostNormalTiers",
    "hostProfiles",
    "untracked",
)


def unsupported(case: Case) -> str:
    """Why a case cannot be judged, or nothing."""
    fields = [field for field in HOST_FIELDS if case["policy"].get(field)]
    return f"needs {', '.join(fields)}" if fields else ""


def run_case(case: Case) -> list[str]:
    """What differs from the expectation, one line for each packet; empty when all is well."""
    policies = _policies(case)
    listed = PolicyList(
        tiers=tuple(
            TierPolicies(tier["name"], tuple(_id(tier["name"], each) for each in tier["policies"]), _end(tier))
            for tier in case["policy"].get("tiers", ())
        ),
        profiles=tuple(_id("", profile) for profile in case["policy"].get("profiles", ())),
    )
    sets = SetIndex(_set(name, members) for name, members in (case.get("ipSets") or {}).items())
    found = []
    for packet in case["packets"]:
        verdict = evaluate(listed, Direction.INGRESS, _packet(packet), policies, sets)
        if verdict.action.value.lower() != packet["expect"]:
            found.append(f"{packet}: {verdict.decided_by}")
    return found


def _policies(case: Case) -> dict[PolicyId, Policy]:
    family = case["ipVersion"]
    groups = [(tier["name"], tier["policies"]) for tier in case["policy"].get("tiers", ())]
    groups.append(("", case["policy"].get("profiles", ())))
    found = {}
    for tier, policies in groups:
        for each in policies:
            rules = tuple(_rule(rule, index, family) for index, rule in enumerate(each.get("rules", ())))
            found[_id(tier, each)] = Policy(_id(tier, each), tier, ingress=rules)
    return found


def _id(tier: str, policy: Mapping[str, Any]) -> PolicyId:
    return PolicyId("Policy" if tier else "Profile", tier, policy["name"])


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
