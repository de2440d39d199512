"""The oracle: order of tiers, policies, rules and profiles, and every match of a rule."""

from __future__ import annotations

import pytest

from tortie.base.addresses import Cidr
from tortie.calculation.setindex import SetIndex, port_record
from tortie.calculation.verdict import Packet, Step, Verdict, evaluate, rule_matches
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


def address(text: str) -> int:
    return Cidr.host(text).address


def tcp(source: str = "10.0.0.1", destination: str = "10.0.0.2", port: int = 80) -> Packet:
    return Packet(4, 6, address(source), address(destination), source_port=40000, destination_port=port)


def ping(kind: int = 8, code: int = 0) -> Packet:
    return Packet(4, 1, address("10.0.0.1"), address("10.0.0.2"), icmp_type=kind, icmp_code=code)


def policy(name: str, *actions: Action, tier: str = "default", kind: str = "NetworkPolicy") -> Policy:
    rules = tuple(Rule(action=action, index=index) for index, action in enumerate(actions))
    return Policy(PolicyId(kind, "", name), tier, ingress=rules)


def judge(tiers: list[tuple[Action, list[Policy]]], profiles: list[Policy]) -> Verdict:
    """Ingress verdict of a plain packet; every tier's name is its position."""
    named = [
        TierPolicies(str(position), tuple(policy.id for policy in members), default)
        for position, (default, members) in enumerate(tiers)
    ]
    everything = {policy.id: policy for _, members in tiers for policy in members}
    everything |= {profile.id: profile for profile in profiles}
    listed = PolicyList(tuple(named), tuple(profile.id for profile in profiles))
    return evaluate(listed, Direction.INGRESS, tcp(), everything, SetIndex())


ALLOW, DENY, PASS, LOG = Action.ALLOW, Action.DENY, Action.PASS, Action.LOG


def test_the_first_allow_or_deny_decides() -> None:
    verdict = judge([(DENY, [policy("a", LOG, ALLOW, DENY)])], [])
    assert verdict.action is ALLOW
    assert verdict.decided_by == Step(ALLOW, "default", PolicyId("NetworkPolicy", "", "a"), 1)
    assert [step.action for step in verdict.trace] == [LOG, ALLOW]


def test_a_policy_without_a_match_leaves_the_decision_to_the_next() -> None:
    assert judge([(DENY, [policy("a"), policy("b", ALLOW)])], []).action is ALLOW


def test_pass_skips_the_rest_of_its_tier_only() -> None:
    verdict = judge([(DENY, [policy("a", PASS), policy("b", DENY)]), (DENY, [policy("c", ALLOW)])], [])
    assert [step.action for step in verdict.trace] == [PASS, ALLOW]


def test_a_tier_without_a_decision_takes_its_default_action() -> None:
    assert judge([(DENY, [policy("a")])], [policy("p", ALLOW)]).decided_by == Step(DENY, "0")
    verdict = judge([(PASS, [policy("a")])], [policy("p", ALLOW, tier="", kind="Profile")])
    assert [step.action for step in verdict.trace] == [PASS, ALLOW]


def test_pass_ends_a_profile_without_allowing() -> None:
    assert judge([], [policy("p", PASS, ALLOW)]).action is DENY
    assert judge([], [policy("p", PASS, ALLOW), policy("q", ALLOW)]).action is ALLOW


def test_nothing_that_decides_is_deny() -> None:
    verdict = judge([], [])
    assert verdict.action is DENY
    assert str(verdict.decided_by) == "Deny: no profile"


def test_a_dangling_policy_is_a_bug() -> None:
    listed = PolicyList(profiles=(PolicyId("Profile", "", "gone"),))
    with pytest.raises(KeyError):
        evaluate(listed, Direction.INGRESS, tcp(), {}, SetIndex())


ADDRESSES = IPSet(
    SetId("s:a"),
    Members(
        hosts4=pack([Cidr.host("10.0.0.1").packed, Cidr.host("10.0.0.9").packed], 4), nets4=(Cidr.parse("11.0.0.0/8"),)
    ),
)
PORTS = IPSet(SetId("n:p"), Members(ports4=port_record(4, address("10.0.0.2"), 6, 80)), ports=True)
SETS = SetIndex([ADDRESSES, PORTS])

MATCHES = [
    ("no match at all", {}, tcp(), True),
    ("family", {"family": 6}, tcp(), False),
    ("protocol", {"protocol": 6}, tcp(), True),
    ("other protocol", {"protocol": 17}, tcp(), False),
    ("not protocol", {"not_protocol": 6}, tcp(), False),
    ("icmp type", {"icmp": ICMPMatch(8)}, ping(8, 3), True),
    ("icmp code", {"icmp": ICMPMatch(8, 0)}, ping(8, 3), False),
    ("icmp is not tcp", {"icmp": ICMPMatch(8)}, tcp(), False),
    ("not icmp type", {"not_icmp": ICMPMatch(8)}, ping(8, 3), False),
    ("not icmp needs both type and code", {"not_icmp": ICMPMatch(8, 0)}, ping(8, 3), True),
    ("source net", {"source": Side(nets=(Cidr.parse("10.0.0.0/31"),))}, tcp(), True),
    ("destination net", {"destination": Side(nets=(Cidr.parse("10.0.0.0/31"),))}, tcp(), False),
    ("not net", {"source": Side(not_nets=(Cidr.parse("10.0.0.0/31"),))}, tcp(), False),
    ("set by address", {"source": Side(sets=(ADDRESSES.id,))}, tcp(), True),
    ("set by prefix", {"source": Side(sets=(ADDRESSES.id,))}, tcp("11.2.3.4"), True),
    ("outside the set", {"source": Side(sets=(ADDRESSES.id,))}, tcp("10.0.0.2"), False),
    ("not set", {"source": Side(not_sets=(ADDRESSES.id,))}, tcp(), False),
    ("port", {"destination": Side(ports=(PortRange(79, 81),))}, tcp(), True),
    ("source port", {"source": Side(ports=(PortRange(79, 81),))}, tcp(), False),
    ("a packet without ports", {"destination": Side(ports=(PortRange(0, 65535),))}, ping(), False),
    ("named port", {"destination": Side(port_sets=(PORTS.id,))}, tcp(), True),
    ("named port of another", {"destination": Side(port_sets=(PORTS.id,))}, tcp(destination="10.0.0.3"), False),
    ("either", {"destination": Side(ports=(PortRange(9, 9),), port_sets=(PORTS.id,))}, tcp(), True),
    ("not port", {"destination": Side(not_ports=(PortRange(80, 80),))}, tcp(), False),
    ("not named port", {"destination": Side(not_port_sets=(PORTS.id,))}, tcp(), False),
    ("service", {"destination": Side(service_sets=(PORTS.id,))}, tcp(port=81), False),
]


@pytest.mark.parametrize(("fields", "packet", "expected"), [case[1:] for case in MATCHES], ids=[c[0] for c in MATCHES])
def test_a_rule_matches_when_all_of_its_matches_hold(fields: dict[str, object], packet: Packet, expected: bool) -> None:
    assert rule_matches(Rule(action=ALLOW, index=0, **fields), packet, SETS) is expected  # type: ignore[arg-type]
