"""From counters to figures of policies and rules."""

from __future__ import annotations

from tortie.agent.counting import end_hits, policy_hits
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rules import END, GUIDE, UNKNOWN
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PolicyList, Rule, TierPolicies, rule_identity
from tortie.desired.state import DesiredState

WEB = PolicyId("NetworkPolicy", "shop", "web")
STAGED = PolicyId("StagedNetworkPolicy", "shop", "strict")
OTHER = PolicyId("NetworkPolicy", "shop", "other")
INGRESS, EGRESS = Direction


def state() -> DesiredState:
    rules = (Rule(Action.ALLOW, 0, 4), Rule(Action.ALLOW, 0, 6), Rule(Action.DENY, 1))
    policies = [Policy(WEB, "default", rules, (Rule(Action.LOG, 0),)), Policy(STAGED, "default"), Policy(OTHER, "a")]
    tiers = (TierPolicies("default", (WEB,), Action.DENY),)
    pending = (TierPolicies("default", (STAGED, WEB), Action.DENY),)
    pod = EndpointId("shop", "pod")
    endpoint = Endpoint(pod, "cali1", (), PolicyList(tiers, (), pending), PolicyList(tiers))
    return DesiredState(policies={one.id: one for one in policies}, endpoints={pod: endpoint})


def test_a_rule_stands_once_however_many_it_was_compiled_to() -> None:
    counts = {rule_identity(WEB, INGRESS, 0): (3, 300), rule_identity(WEB, EGRESS, 0): (1, 100)}
    (web,) = (one for one in policy_hits(state(), [WEB], counts) if one.name == "web")
    assert [(rule.direction, rule.index, rule.packets) for rule in web.rules] == [
        (INGRESS, 0, 3),
        (INGRESS, 1, 0),
        (EGRESS, 0, 1),
    ]
    assert (web.packets, web.bytes, web.endpoints, web.staged) == (4, 400, 1, False)


def test_policies_come_in_the_order_given_and_what_is_not_in_it_last() -> None:
    assert [one.name for one in policy_hits(state(), [STAGED, WEB], {})] == ["strict", "web", "other"]


def test_of_an_endpoint_only_what_governs_it_or_would() -> None:
    assert {one.name for one in policy_hits(state(), [], {}, "shop/pod")} == {"web", "strict"}
    assert policy_hits(state(), [], {}, "shop/nobody") == []


def test_what_no_rule_decided_is_said_in_words() -> None:
    names = {
        1: RuleName("Tier", "", "default", INGRESS, END),
        2: RuleName("PendingTier", "", "default", INGRESS, END),
        3: RuleName("Endpoint", "", "no match", EGRESS, END),
        4: RuleName("Layout", "", "antispoofing", EGRESS, UNKNOWN),
        5: RuleName("Layout", "", "antispoofing", EGRESS, END),
        6: RuleName("Layout", "", "sender-policy", EGRESS, GUIDE),
        7: RuleName("NetworkPolicy", "shop", "web", INGRESS, 0),
        8: RuleName("Tier", "", "never", INGRESS, END),
    }
    counts = {identity: (0 if identity == 8 else identity, 0) for identity in (*names, 9)}
    assert [(end.fate, end.reason, end.packets) for end in end_hits(counts, names.get)] == [
        ("Deny", "end of tier default", 1),
        ("Deny", "no profile matched", 3),
        ("Deny", "spoofed source", 5),
        ("Deny", "unknown interface", 4),
        ("Would deny", "end of tier default", 2),
    ]
