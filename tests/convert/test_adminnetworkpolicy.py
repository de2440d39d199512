"""AdminNetworkPolicy and BaselineAdminNetworkPolicy: what their own fields become; the rest is as for its successor."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.rules import EntityRule, Rule
from tortie.base.errors import InvalidResource
from tortie.convert import adminnetworkpolicy, clusternetworkpolicy
from tortie.convert.converted import Converted
from tortie.convert.kubernetes import convert
from tortie.convert.policynames import global_policy_name

PODS = "projectcalico.org/orchestrator == 'k8s'"
NAMESPACES = {"namespaces": {}}


def _convert(kind: str, name: str, spec: dict[str, Any]) -> Converted:
    version = "policy.networking.k8s.io/v1alpha1"
    given = {field: value for field, value in {"subject": NAMESPACES, **spec}.items() if value is not None}
    return convert({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": given})


def _admin(**spec: Any) -> Converted:
    return _convert("AdminNetworkPolicy", "web", {"priority": 7, **spec})


def _baseline(name: str = "default", **spec: Any) -> Converted:
    return _convert("BaselineAdminNetworkPolicy", name, spec)


def _spec(converted: Converted) -> GlobalNetworkPolicySpec:
    assert isinstance(converted.resource, GlobalNetworkPolicy)
    return converted.resource.spec


def _destinations(*peers: Any, **rule: Any) -> list[EntityRule]:
    converted = _admin(egress=[{"action": "Deny", "to": list(peers), **rule}])
    assert converted.warnings == ()
    return [rule.destination for rule in _spec(converted).egress]


def _problem(kind: str, *, name: str = "default", **spec: Any) -> str:
    with pytest.raises(InvalidResource) as caught:
        _convert(kind, name, spec)
    (problem,) = caught.value.problems
    return str(problem)


def test_policies_of_administrators_stand_before_all_others_by_priority() -> None:
    spec = _spec(_admin(priority=99))
    assert (spec.tier, spec.order, spec.selector, spec.namespace_selector) == ("kube-admin", 99.0, PODS, "all()")


def test_the_baseline_stands_after_every_other_policy_of_its_tier() -> None:
    spec = _spec(_baseline())
    last = {"tier": "Baseline", "priority": 1000, "subject": NAMESPACES}
    version, kind = clusternetworkpolicy.FORM.version, clusternetworkpolicy.FORM.kind
    other = _spec(convert({"apiVersion": version, "kind": kind, "metadata": {"name": "z"}, "spec": last}))
    assert spec.tier == other.tier == "kube-baseline"
    assert (spec.order or 0) > (other.order or 0)


def test_of_one_priority_the_older_kind_comes_first() -> None:
    names = ["a", "z", "a.b", "z.z"]
    older = [global_policy_name(adminnetworkpolicy.FORM.prefix, name) for name in names]
    newer = [global_policy_name(clusternetworkpolicy.FORM.prefix, name) for name in names]
    assert max(older) < min(newer)


@pytest.mark.parametrize("action", ["Allow", "Deny", "Pass"])
def test_actions_are_ours_already(action: str) -> None:
    everyone = EntityRule(selector=PODS, namespace_selector="all()")
    rule = {"action": action, "from": [NAMESPACES]}
    assert _spec(_admin(ingress=[rule])).ingress == (Rule(action=action, source=everyone),)


@pytest.mark.parametrize(
    "peer",
    [
        {"pods": {"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"c": "d"}}}},
        {
            "pods": {
                "namespaces": {"namespaceSelector": {"matchLabels": {"a": "b"}}},
                "podSelector": {"matchLabels": {"c": "d"}},
            }
        },
    ],
)
def test_pods_are_selected_in_either_spelling(peer: dict[str, Any]) -> None:
    assert _destinations(peer) == [EntityRule(selector=f"{PODS} && c == 'd'", namespace_selector="a == 'b'")]


@pytest.mark.parametrize(
    ("namespaces", "selector"),
    [
        ({}, "all()"),
        ({"namespaceSelector": {}}, "all()"),
        ({"matchLabels": {"a": "b"}}, "a == 'b'"),
        ({"namespaceSelector": {"matchLabels": {"a": "b"}}}, "a == 'b'"),
    ],
)
def test_namespaces_are_selected_in_either_spelling(namespaces: dict[str, Any], selector: str) -> None:
    assert _destinations({"namespaces": namespaces}) == [EntityRule(selector=PODS, namespace_selector=selector)]


def test_networks_are_split_by_family() -> None:
    assert [each.nets for each in _destinations({"networks": ["::/0", "0.0.0.0/0"]})] == [("::/0",), ("0.0.0.0/0",)]


def test_ports_are_of_tcp_unless_said_otherwise() -> None:
    ports = [
        {"portNumber": {"port": 80}},
        {"portNumber": {"port": 81, "protocol": ""}},
        {"portRange": {"start": 82, "end": 90}},
        {"portNumber": {"port": 53, "protocol": "UDP"}},
        {"portRange": {"start": 5, "end": 7, "protocol": "SCTP"}},
        {"namedPort": "dns"},
    ]
    rules = _spec(_admin(ingress=[{"action": "Deny", "from": [NAMESPACES], "ports": ports}])).ingress
    assert [(rule.protocol, rule.destination.ports) for rule in rules] == [
        (None, ("dns",)),
        ("SCTP", ("5:7",)),
        ("TCP", ("80:90",)),
        ("UDP", (53,)),
    ]


def test_more_ports_than_a_rule_may_have_are_several_rules() -> None:
    ports = [{"portNumber": {"port": number}} for number in range(1, 201, 2)]
    found = [destination.ports for destination in _destinations(NAMESPACES, ports=ports)]
    assert [len(each) for each in found] == [50, 50]
    assert [port for each in found for port in each] == list(range(1, 201, 2))


def test_more_networks_than_a_rule_may_have_are_several_rules() -> None:
    networks = [f"10.{number}.0.0/16" for number in range(256)] + ["11.0.0.0/8"]
    assert [len(each.nets) for each in _destinations({"networks": networks})] == [256, 1]


@pytest.mark.parametrize("rule", [{}, {"ports": []}, {"ports": None}])
def test_a_rule_without_ports_is_for_every_packet(rule: dict[str, Any]) -> None:
    assert _destinations(NAMESPACES, **rule) == [EntityRule(selector=PODS, namespace_selector="all()")]


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"domainNames": ["a.b"]}, "to[0].domainNames: domain names as peers cannot be carried out"),
        (
            {"namespaces": {"sameLabels": ["a"]}},
            "to[0].namespaces: namespaces with labels like the subject's cannot be",
        ),
        (
            {"namespaces": {"notSameLabels": []}},
            "to[0].namespaces: namespaces with labels like the subject's cannot be",
        ),
        (
            {"pods": {"namespaces": {"sameLabels": ["a"]}, "podSelector": {}}},
            "to[0].pods.namespaces: namespaces with labels like the subject's cannot be carried out",
        ),
    ],
)
def test_what_cannot_be_carried_out_lets_nothing_through(peer: dict[str, Any], said: str) -> None:
    converted = _admin(egress=[{"action": action, "to": [peer]} for action in ("Allow", "Pass", "Deny")])
    assert _spec(converted).egress == (Rule(action="Deny"), Rule(action="Deny"))
    assert [f"spec.egress[{index}].{said}" in str(warning) for index, warning in enumerate(converted.warnings)] == [
        True
    ] * 3


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"namespaces": {"matchLabels": {}, "namespaceSelector": {}}}, "namespaces: selects in several ways (give"),
        ({"namespaces": {"sameLabels": ["a"], "namespaceSelector": {}}}, "namespaces: selects in several ways (give"),
        ({"pods": {"podSelector": {}}}, "pods: says nothing of namespaces (give a namespaceSelector; {} is every"),
        (
            {"pods": {"podSelector": {}, "namespaceSelector": {}, "namespaces": {}}},
            "pods: says twice which namespaces (give",
        ),
        (
            {"namespaces": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "in"}]}}},
            "namespaces.namespaceSelector.matchExpressions[0].operator: 'in' is not an operator",
        ),
    ],
)
def test_selectors_that_say_too_little_or_too_much_are_refused(peer: dict[str, Any], said: str) -> None:
    problem = _problem("AdminNetworkPolicy", priority=1, ingress=[{"action": "Deny", "from": [peer]}])
    assert problem.startswith(f"AdminNetworkPolicy default: spec.ingress[0].from[0].{said}")


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ({}, ": says nothing (give exactly one of portNumber, portRange, namedPort)"),
        ({"portNumber": {"port": 1}, "namedPort": "a"}, ": has portNumber and namedPort (give exactly one of"),
        ({"portNumber": {"protocol": "TCP"}}, ".portNumber.port: is required"),
        ({"portNumber": {"port": 70000}}, ".portNumber.port: 70000 is not a port (use 1 to 65535"),
        ({"portNumber": {"port": 1, "protocol": "ICMP"}}, ".portNumber.protocol: 'ICMP' is not a protocol"),
        ({"portRange": {"start": 9, "end": 8}}, ".portRange: 9 to 8 is not a range of ports"),
        ({"namedPort": ""}, ".namedPort: '' is not a port"),
        ({"port": 80}, ".port: is not a field (did you mean portRange?)"),
    ],
)
def test_what_is_wrong_with_a_port_is_said(port: dict[str, Any], said: str) -> None:
    problem = _problem(
        "BaselineAdminNetworkPolicy", ingress=[{"action": "Deny", "from": [NAMESPACES], "ports": [port]}]
    )
    assert problem.startswith(f"BaselineAdminNetworkPolicy default: spec.ingress[0].ports[0]{said}")


def test_there_is_one_baseline_and_it_has_a_name() -> None:
    assert str(_baseline().resource.key) == "GlobalNetworkPolicy kbanp.default"
    said = "BaselineAdminNetworkPolicy web: metadata.name: is 'web' (the one baseline policy is called default)"
    assert _problem("BaselineAdminNetworkPolicy", name="web") == said


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"priority": 1}, "spec.priority: is not a field"),
        ({"ingress": [{"action": "Pass", "from": [NAMESPACES]}]}, "action: 'Pass' is not an action of Baseline"),
        ({"egress": [{"action": "Deny", "to": [{"domainNames": ["a.b"]}]}]}, "domainNames: is not a field"),
    ],
)
def test_what_a_baseline_cannot_say_is_refused(spec: dict[str, Any], said: str) -> None:
    assert said in _problem("BaselineAdminNetworkPolicy", **spec)
