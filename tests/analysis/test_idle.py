"""Policies that govern nobody and rules that decide nothing are found, and no others."""

from __future__ import annotations

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.idle import NO_PACKET, NOBODY, NOT_THEIRS, TOO_LATE, idle
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata, Resource
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec


def pod(name: str, address: str) -> Resource:
    spec = WorkloadEndpointSpec(orchestrator="k8s", node="n", interface_name="cali0", ip_networks=(address,))
    return WorkloadEndpoint(metadata=Metadata(name=name, namespace="shop", labels={"app": name}), spec=spec)


def policy(name: str, *rules: Rule, selector: str = "app == 'web'", order: float = 1) -> Resource:
    spec = NetworkPolicySpec(selector=selector, order=order, types=("Ingress",), ingress=rules)
    return NetworkPolicy(metadata=Metadata(name=name, namespace="shop"), spec=spec)


def found(*policies: Resource) -> list[tuple[str, str, int, str]]:
    cluster = compile_cluster([pod("web", "10.0.0.1"), pod("client", "10.0.0.2"), *policies])
    return [(one.policy.name, one.direction, one.index, one.why) for one in idle(Reachability(Space(), cluster))]


def allow(selector: str = "", *ports: int) -> Rule:
    source, destination = EntityRule(selector=selector), EntityRule(ports=ports)
    return Rule(action="Allow", protocol="TCP", source=source, destination=destination)


def test_what_every_packet_needs_is_not_idle() -> None:
    assert found(policy("a", allow("app == 'client'", 80), allow("", 80), Rule(action="Deny"))) == []


def test_a_policy_that_selects_nobody_is_idle() -> None:
    assert found(policy("a", allow(), selector="app == 'none'")) == [("a", "", -1, NOBODY)]


def test_a_rule_whose_peers_are_not_there_matches_no_packet() -> None:
    assert found(policy("a", allow("app == 'none'", 80))) == [("a", "ingress", 0, NO_PACKET)]


def test_a_rule_about_destinations_that_its_policy_does_not_govern_says_so() -> None:
    elsewhere = Rule(action="Allow", destination=EntityRule(selector="app == 'client'"))
    assert found(policy("a", elsewhere)) == [("a", "ingress", 0, NOT_THEIRS)]


def test_a_rule_behind_wider_ones_comes_too_late() -> None:
    narrow = allow("app == 'client'", 80)
    assert found(policy("a", allow("", 80), narrow)) == [("a", "ingress", 1, TOO_LATE)]
    assert found(policy("a", allow("", 80)), policy("b", narrow, order=2)) == [("b", "ingress", 0, TOO_LATE)]
    assert found(policy("a", Rule(action="Pass"), narrow)) == [("a", "ingress", 1, TOO_LATE)]
