"""ClusterNetworkPolicy: what each of its fields becomes, and what its author is told."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.rules import EntityRule, Rule, RuleMetadata
from tortie.base.errors import InvalidResource
from tortie.convert.converted import Converted
from tortie.convert.kubernetes import convert

PODS = "projectcalico.org/orchestrator == 'k8s'"
EVERYONE = EntityRule(selector=PODS, namespace_selector="all()")
NAMESPACES = {"namespaces": {}}
DENY_ALL = Rule(action="Deny")


def _convert(**spec: Any) -> Converted:
    defaults = {"tier": "Admin", "priority": 7, "subject": NAMESPACES}
    return convert(
        {
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": "web", "uid": "1", "creationTimestamp": None},
            "spec": {name: value for name, value in {**defaults, **spec}.items() if value is not None},
        }
    )


def _spec(**spec: Any) -> GlobalNetworkPolicySpec:
    converted = _convert(**spec)
    assert converted.warnings == ()
    return _spec_of(converted)


def _spec_of(converted: Converted) -> GlobalNetworkPolicySpec:
    assert isinstance(converted.resource, GlobalNetworkPolicy)
    return converted.resource.spec


def _problems(**spec: Any) -> list[str]:
    with pytest.raises(InvalidResource) as caught:
        _convert(**spec)
    return [str(problem).removeprefix("ClusterNetworkPolicy web: ") for problem in caught.value.problems]


def _ingress(**rule: Any) -> tuple[Rule, ...]:
    return _spec(ingress=[{"action": "Accept", "from": [NAMESPACES], **rule}]).ingress


def _egress(*peers: Any, **rule: Any) -> tuple[Rule, ...]:
    return _spec(egress=[{"action": "Accept", "to": list(peers), **rule}]).egress


@pytest.mark.parametrize(("tier", "ours"), [("Admin", "kube-admin"), ("Baseline", "kube-baseline")])
@pytest.mark.parametrize("priority", [0, 1000])
def test_tier_and_priority_say_where_the_policy_stands(tier: str, ours: str, priority: int) -> None:
    spec = _spec(tier=tier, priority=priority)
    assert (spec.tier, spec.order) == (ours, float(priority))


def test_the_subject_is_pods_and_nothing_else() -> None:
    spec = _spec(subject={"namespaces": {"matchLabels": {"a": "b"}}})
    assert (spec.selector, spec.namespace_selector) == (PODS, "a == 'b'")
    spec = _spec(subject={"pods": {"podSelector": {"matchLabels": {"c": "d"}}, "namespaceSelector": {}}})
    assert (spec.selector, spec.namespace_selector) == (f"{PODS} && c == 'd'", "all()")
    spec = _spec(subject={"pods": {"podSelector": {}}})
    assert (spec.selector, spec.namespace_selector) == (PODS, "all()")
    spec = _spec(subject={"namespaces": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}})
    assert (spec.selector, spec.namespace_selector) == (PODS, "! has(a)")


@pytest.mark.parametrize(
    ("directions", "types"),
    [
        (["ingress"], ("Ingress",)),
        (["egress"], ("Egress",)),
        (["egress", "ingress"], ("Ingress", "Egress")),
        ([], ()),
    ],
)
def test_only_directions_with_rules_are_governed(directions: list[str], types: tuple[str, ...]) -> None:
    rules = {
        "ingress": [{"action": "Deny", "from": [NAMESPACES]}],
        "egress": [{"action": "Deny", "to": [NAMESPACES]}],
    }
    assert _spec(**{name: rules[name] for name in directions}).types == types
    assert _spec(**{name: rules[name] if name in directions else [] for name in rules}).types == types


def test_a_direction_whose_rules_all_fell_away_is_governed_still() -> None:
    spec = _spec_of(_convert(egress=[{"action": "Accept", "to": [{"domainNames": ["a.b"]}]}]))
    assert (spec.egress, spec.types) == ((), ("Egress",))


@pytest.mark.parametrize(("action", "ours"), [("Accept", "Allow"), ("Deny", "Deny"), ("Pass", "Pass")])
def test_actions_are_ours(action: str, ours: str) -> None:
    assert _ingress(action=action) == (Rule(action=ours, source=EVERYONE),)


def test_the_name_of_a_rule_is_kept_as_an_annotation() -> None:
    (rule,) = _ingress(name="let them in")
    assert rule.metadata == RuleMetadata(annotations={"name": "let them in"})


def test_peers_of_namespaces_are_pods_only() -> None:
    peers = [{"namespaces": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}}]
    (rule,) = _ingress(**{"from": peers})
    assert rule.source == EntityRule(selector=PODS, namespace_selector="a not in { 'b' }")


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({}, "has(tortie/node)"),
        ({"matchLabels": {"kubernetes.io/os": "linux"}}, "has(tortie/node) && kubernetes.io/os == 'linux'"),
    ],
)
def test_peers_of_nodes_are_what_has_the_label_of_nodes(selector: dict[str, Any], text: str) -> None:
    (rule,) = _egress({"nodes": selector})
    assert rule.destination == EntityRule(selector=text)


def test_peers_stand_each_for_themselves_in_their_order() -> None:
    pods = {"pods": {"podSelector": {"matchLabels": {"a": "b"}}, "namespaceSelector": {"matchLabels": {"c": "d"}}}}
    rules = _egress(pods, {"networks": ["10.0.0.0/8", "fd00::1/64", "1.1.1.1/32", "10.0.0.1/8"]}, NAMESPACES)
    assert [rule.destination for rule in rules] == [
        EntityRule(selector=f"{PODS} && a == 'b'", namespace_selector="c == 'd'"),
        EntityRule(nets=("10.0.0.0/8", "1.1.1.1/32")),
        EntityRule(nets=("fd00::/64",)),
        EVERYONE,
    ]


def test_ports_are_the_receivers_and_merged_by_protocol() -> None:
    protocols = [
        {"udp": {"destinationPort": {"number": 53}}},
        {"tcp": {"destinationPort": {"range": {"start": 80, "end": 90}}}},
        {"tcp": {"destinationPort": {"number": 91}}},
        {"destinationNamedPort": "web"},
        {"sctp": {"destinationPort": {"number": 7}}},
    ]
    expected = [(None, ("web",)), ("SCTP", (7,)), ("TCP", ("80:91",)), ("UDP", (53,))]
    incoming = _ingress(protocols=protocols)
    assert [(rule.protocol, rule.destination.ports) for rule in incoming] == expected
    assert {rule.source for rule in incoming} == {EVERYONE}
    outgoing = _egress(NAMESPACES, protocols=protocols)
    assert [(rule.protocol, rule.destination.ports) for rule in outgoing] == expected
    assert {rule.destination.selector for rule in outgoing} == {PODS}
    assert {rule.source for rule in outgoing} == {EntityRule()}


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"domainNames": ["*.example.com"]}, "to[1].domainNames: domain names as peers cannot be carried out"),
    ],
)
@pytest.mark.parametrize(("action", "instead"), [("Accept", ()), ("Deny", (DENY_ALL,)), ("Pass", (DENY_ALL,))])
def test_a_rule_that_cannot_be_carried_out_lets_nothing_through(
    peer: dict[str, Any], said: str, action: str, instead: tuple[Rule, ...]
) -> None:
    http = [{"tcp": {"destinationPort": {"number": 80}}}]
    last = {"action": "Accept", "to": [NAMESPACES]}
    converted = _convert(egress=[{"action": action, "to": [NAMESPACES, peer], "protocols": http}, last])
    assert _spec_of(converted).egress == (*instead, Rule(action="Allow", destination=EVERYONE))
    (warning,) = map(str, converted.warnings)
    assert warning.startswith(f"ClusterNetworkPolicy web: spec.egress[0].{said}")
    assert warning.partition(" (")[0].endswith(
        "; the whole rule spec.egress[0] "
        + ("is left out: it allows nothing" if action == "Accept" else "denies all traffic instead")
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"tier": None}, "spec.tier: is required"),
        ({"tier": "admin"}, "spec.tier: 'admin' is not a tier (use Admin or Baseline)"),
        ({"priority": None}, "spec.priority: is required"),
        ({"priority": "7"}, "spec.priority: must be a whole number, not a text"),
        ({"priority": True}, "spec.priority: must be a whole number, not a boolean"),
        ({"priority": -1}, "spec.priority: is -1 (use 0 to 1000)"),
        ({"priority": 1001}, "spec.priority: is 1001 (use 0 to 1000)"),
        ({"subject": None}, "spec.subject: is required"),
        ({"subject": {}}, "spec.subject: says nothing (give exactly one of namespaces, pods)"),
        ({"subject": {"namespaces": None}}, "spec.subject: says nothing (give exactly one of namespaces, pods)"),
        (
            {"subject": {"namespaces": {}, "pods": {"podSelector": {}}}},
            "spec.subject: has namespaces and pods (give exactly one of namespaces, pods)",
        ),
        ({"subject": {"pods": {"namespaceSelector": {}}}}, "spec.subject.pods.podSelector: is required"),
        (
            {"subject": {"namespaces": {"matchLabels": {"a b": "c"}}}},
            "spec.subject.namespaces.matchLabels[a b]: 'a b' is not a label name",
        ),
        (
            {"subject": {"namespaces": {"matchLabels": {"a": 1}}}},
            "spec.subject.namespaces.matchLabels[a]: must be a text, not a number (quote it)",
        ),
        ({"inress": []}, "spec.inress: is not a field (did you mean ingress?)"),
        ({"ingress": {}}, "spec.ingress: must be a list, not a map"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(spec: dict[str, Any], said: str) -> None:
    (problem,) = _problems(**spec)
    assert problem.startswith(said)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"action": None}, "action: is required"),
        (
            {"action": "Allow"},
            "action: 'Allow' is not an action of ClusterNetworkPolicy (use one of Accept, Deny, Pass",
        ),
        ({"name": "x" * 101}, "name: has 101 characters (use 100 at most)"),
        ({"to": None}, "to: is required"),
        ({"to": []}, "to: is empty (give a peer; namespaces: {} are all pods)"),
        ({"from": [NAMESPACES]}, "from: is not a field"),
        ({"ports": []}, "ports: is not a field (known are name, action, protocols, to)"),
        ({"to": [{}]}, "to[0]: says nothing (give exactly one of namespaces, pods, nodes, networks, domainNames)"),
        ({"to": [{"namespaces": {}, "nodes": {}}]}, "to[0]: has namespaces and nodes (give exactly one of"),
        ({"to": [{"namespaces": {"namespaceSelector": {}}}]}, "to[0].namespaces.namespaceSelector: is not a field"),
        ({"to": [{"networks": []}]}, "to[0].networks: is empty (give a prefix such as 10.0.0.0/8)"),
        ({"to": [{"networks": ["10.0.0.0"]}]}, "to[0].networks[0]: '10.0.0.0' has no prefix length"),
        ({"to": [{"networks": ["0::/0", "x/8"]}]}, "to[0].networks[1]: 'x/8' is not a prefix"),
        ({"to": [{"networks": ["::ffff:10.0.0.0/104"]}]}, "to[0].networks[0]: '::ffff:10.0.0.0/104' is IPv4 within"),
        ({"protocols": []}, "protocols: is empty (leave it out to match every packet)"),
        ({"protocols": [{}]}, "protocols[0]: says nothing (give exactly one of tcp, udp, sctp, destinationNamedPort)"),
        ({"protocols": [{"tcp": {}}]}, "protocols[0].tcp: says nothing (give a destinationPort)"),
        ({"protocols": [{"tcp": {"destinationPort": {}}}]}, "protocols[0].tcp.destinationPort: says nothing (give"),
        (
            {"protocols": [{"tcp": {"destinationPort": {"number": 0}}}]},
            "protocols[0].tcp.destinationPort.number: 0 is not a port",
        ),
        (
            {"protocols": [{"udp": {"destinationPort": {"range": {"start": 40, "end": 20}}}}]},
            "protocols[0].udp.destinationPort.range: 40 to 20 is not a range of ports",
        ),
        (
            {"protocols": [{"udp": {"destinationPort": {"range": {"start": 40}}}}]},
            "protocols[0].udp.destinationPort.range.end: is required",
        ),
        ({"protocols": [{"icmp": {}}]}, "protocols[0].icmp: is not a field"),
        ({"protocols": [{"destinationNamedPort": "80"}]}, "protocols[0].destinationNamedPort: '80' is not a port"),
        (
            {"protocols": [{"destinationNamedPort": "web"}], "to": [NAMESPACES, {"networks": ["::/0"]}]},
            "names a port, which nodes, networks and domain names do not have",
        ),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: dict[str, Any], said: str) -> None:
    good = {"action": "Accept", "to": [NAMESPACES]}
    bad = {name: value for name, value in {**good, **rule}.items() if value is not None}
    (problem,) = _problems(egress=[good, bad])
    place = "spec.egress[1]: " if said.startswith("names") else "spec.egress[1]."
    assert problem.startswith(place + said)


def test_a_selector_that_is_too_long_is_refused_where_it_stands() -> None:
    long = {"matchLabels": {f"label-{number}": "value" for number in range(60)}}
    said = r"becomes a selector of \d+ characters, of at most 1024 \(select by fewer labels or values\)"
    subject, selected, everywhere = _problems(
        subject={"pods": {"podSelector": long}},
        ingress=[{"action": "Deny", "from": [{"pods": {"podSelector": long}}, {"namespaces": long}]}],
    )
    assert re.match(rf"spec\.subject\.pods\.podSelector: {said}", subject)
    assert re.match(rf"spec\.ingress\[0\]\.from\[0\]\.pods\.podSelector: {said}", selected)
    assert re.match(rf"spec\.ingress\[0\]\.from\[1\]\.namespaces: {said}", everywhere)


def test_more_rules_than_a_policy_may_have_are_refused() -> None:
    protocols = [{name: {"destinationPort": {"number": 1}}} for name in ("tcp", "udp", "sctp")]
    rule = {"action": "Deny", "to": [{"networks": ["0.0.0.0/0", "::/0"]}] * 25, "protocols": protocols}
    said = "spec.egress: becomes 1050 rules, one for each peer and protocol, of at most 1024 (write several policies)"
    assert _problems(egress=[rule] * 7) == [said]
    assert len(_spec(egress=[rule] * 6).egress) == 900


@pytest.mark.parametrize("peer", [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}, {"domainNames": ["a.b"]}])
def test_who_sends_is_told_by_pods_alone(peer: dict[str, Any]) -> None:
    (problem,) = _problems(ingress=[{"action": "Deny", "from": [peer]}])
    assert problem.startswith(f"spec.ingress[0].from[0].{next(iter(peer))}: is not a field")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    bad = {"action": "Allow", "to": [{}, {"networks": ["x/8"]}], "protocols": [{}]}
    assert [problem.partition(":")[0] for problem in _problems(tier="x", subject={}, egress=[bad, bad])] == [
        "spec.tier",
        "spec.subject",
        *[
            f"spec.egress[{index}].{field}"
            for index in (0, 1)
            for field in ("action", "to[0]", "to[1].networks[0]", "protocols[0]")
        ],
    ]


def test_unknown_fields_beside_the_spec_are_refused_and_answers_of_servers_are_not() -> None:
    document = {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "Web"},
        "spec": {"tier": "Admin", "priority": 1, "subject": NAMESPACES},
        "status": {"conditions": []},
    }
    with pytest.raises(InvalidResource, match=r"ClusterNetworkPolicy Web: metadata\.name: 'Web' is not a name"):
        convert(document)
    with pytest.raises(InvalidResource, match="ClusterNetworkPolicy Web: sepc: is not a field"):
        convert(document | {"sepc": {}})
    assert convert(document | {"metadata": {"name": "web"}}).warnings == ()
