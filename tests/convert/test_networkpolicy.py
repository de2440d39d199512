"""Kubernetes policies: what is merged, what is left out, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.policy import NetworkPolicy
from tortie.api.rules import EntityRule, Rule
from tortie.base.errors import InvalidResource
from tortie.convert.networkpolicy import network_policy, stored

PODS = "projectcalico.org/orchestrator == 'k8s'"


def _document(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def _policy(**spec: Any) -> NetworkPolicy:
    resource = network_policy(_document(**spec)).resource
    assert isinstance(resource, NetworkPolicy)
    return resource


def _ports(*ports: dict[str, Any]) -> dict[Any, tuple[int | str, ...]]:
    rules = _policy(ingress=[{"ports": list(ports)}]).spec.ingress
    return {rule.protocol: rule.destination.ports for rule in rules}


def _warnings(rule: dict[str, Any]) -> str:
    """What is said of a rule that is left out between two that stand."""
    good = {"ports": [{"port": 1}]}
    converted = network_policy(_document(ingress=[good, rule, good], egress=[rule]))
    assert isinstance(converted.resource, NetworkPolicy)
    assert len(converted.resource.spec.ingress) == 2
    assert converted.resource.spec.egress == ()
    assert converted.resource.spec.types == ("Ingress", "Egress")
    return "\n".join(map(str, converted.broken))


def test_a_policy_without_rules_denies() -> None:
    spec = _policy().spec
    assert (spec.types, spec.ingress, spec.selector) == (("Ingress",), (), PODS)


def test_an_empty_rule_allows_everything() -> None:
    assert _policy(ingress=[{}]).spec.ingress == (Rule(action="Allow"),)
    assert _policy(egress=[{"to": [], "ports": None}]).spec.egress == (Rule(action="Allow"),)


def test_types_are_filled_in_as_the_kubernetes_api_does() -> None:
    assert _policy(egress=[{}]).spec.types == ("Ingress", "Egress")
    assert _policy(egress=[], ingress=[{}]).spec.types == ("Ingress",)
    assert _policy(policyTypes=["Egress"]).spec.types == ("Egress",)


def test_rules_of_a_type_that_is_not_named_are_reported() -> None:
    (warning,) = map(str, network_policy(_document(policyTypes=["Ingress"], egress=[{}])).warnings)
    assert warning == (
        "NetworkPolicy shop/web: spec.egress: has no effect, since policyTypes does not name Egress "
        "(add Egress, or leave the rules out)"
    )


def test_the_stored_name_stands_apart_from_other_policies() -> None:
    policy = _policy()
    assert (policy.metadata.name, stored(policy).metadata.name) == ("web", "knp.default.web")
    assert stored(policy).metadata.namespace == "shop"


@pytest.mark.parametrize(
    ("ports", "merged"),
    [
        ([{"port": 81}, {"port": 80}, {"port": 82}, {"port": 9090}, {"port": "web"}], {"TCP": ("web", "80:82", 9090)}),
        ([{"port": 80}, {"port": "web"}], {"TCP": (80, "web")}),
        ([{"port": 80}, {"port": 80}], {"TCP": (80,)}),
        ([{"port": "web"}, {"port": "dns"}, {"port": "web"}], {"TCP": ("web", "dns")}),
        ([{"port": 10, "endPort": 20}, {"port": 15, "endPort": 30}, {"port": 12}], {"TCP": ("10:30",)}),
        ([{"port": "8080"}], {"TCP": (8080,)}),
        ([{"port": 1}, {}, {"port": 2}], {"TCP": ()}),
        ([{"protocol": "UDP"}, {"port": 53}, {"protocol": "SCTP", "port": 7}], {"SCTP": (7,), "TCP": (53,), "UDP": ()}),
        ([{"port": 65535, "protocol": "UDP"}, {"port": 1, "protocol": "UDP"}], {"UDP": (1, 65535)}),
    ],
)
def test_ports_are_merged_by_protocol(ports: list[dict[str, Any]], merged: dict[str, tuple[int | str, ...]]) -> None:
    assert _ports(*ports) == merged
    assert list(_ports(*ports)) == list(merged)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), min_size=1, max_size=12))
def test_merged_ports_are_the_same_ports_in_ranges_that_do_not_touch(ranges: list[tuple[int, int]]) -> None:
    ports = _ports(*[{"port": first, "endPort": first + more} for first, more in ranges])["TCP"]
    pairs = [tuple(map(int, str(port).split(":"))) for port in ports]
    assert {number for pair in pairs for number in range(pair[0], pair[-1] + 1)} == {
        number for first, more in ranges for number in range(first, first + more + 1)
    }
    assert all(before[-1] + 1 < after[0] for before, after in pairwise(pairs))


def test_egress_ports_and_peers_stand_on_one_side() -> None:
    (rule,) = _policy(egress=[{"to": [{"ipBlock": {"cidr": "fd00::1/64"}}], "ports": [{"port": 53}]}]).spec.egress
    assert rule.destination == EntityRule(nets=("fd00::/64",), ports=(53,))
    assert rule.source == EntityRule()


def test_exceptions_that_are_the_same_stand_once() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.3/16", "10.2.0.0/16"]}
    (rule,) = _policy(egress=[{"to": [{"ipBlock": block}]}]).spec.egress
    assert rule.destination.not_nets == ("10.1.0.0/16", "10.2.0.0/16")


def test_peers_tell_no_selector_from_an_empty_one() -> None:
    peers = [{"podSelector": {}}, {"namespaceSelector": {}}, {"namespaceSelector": {}, "podSelector": None}]
    sources = [rule.source for rule in _policy(ingress=[{"from": peers}]).spec.ingress]
    assert [source.namespace_selector for source in sources] == ["", "all()", "all()"]
    assert {source.selector for source in sources} == {PODS}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"ports": [{"port": 80}, {"port": 0}]}, "ports[1].port: 0 is not a port"),
        ({"ports": [{"port": 80, "endPort": 79}]}, "ports[0].port: 80 to 79 is not a range"),
        ({"ports": [{"port": 80, "endPort": 65536}]}, "ports[0].port: 80 to 65536 is not a range"),
        ({"ports": [{"port": "80:90"}]}, "ports[0].port: '80:90' is not a port"),
        ({"ports": [{"port": "web", "endPort": 9}]}, "ports[0].endPort: has no number to begin with"),
        ({"ports": [{"endPort": 9}]}, "ports[0].endPort: has no number to begin with"),
        ({"ports": [{"protocol": "ICMP"}]}, "ports[0].protocol: 'ICMP' is not a protocol of Kubernetes policies"),
        ({"ports": [{"prot": 80}]}, "ports[0].prot: is not a field (did you mean port?)"),
        ({"form": [{"podSelector": {}}]}, "spec.ingress[1].form: is not a field (did you mean from?)"),
        ({"ports": [80]}, "ports[0]: must be a map, not a number"),
        ({"ports": [{"port": True}]}, "ports[0].port: must be a whole number or a text, not a boolean"),
        ({"peers": []}, "spec.ingress[1].peers: is not a field"),
    ],
)
def test_a_rule_that_cannot_be_converted_is_left_out_and_reported(rule: dict[str, Any], said: str) -> None:
    warnings = _warnings(rule)
    assert said in warnings
    assert "NetworkPolicy shop/web: spec.ingress[1]" in warnings
    assert "NetworkPolicy shop/web: spec.egress[0]" in warnings


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"ipBlock": {"cidr": "10.0.0.0/33"}}, "ipBlock.cidr: '10.0.0.0/33' is not a prefix"),
        ({"ipBlock": {"cidr": "10.0.0.1"}}, "ipBlock.cidr: '10.0.0.1' has no prefix length"),
        ({"ipBlock": {"cidr": "10.0.0.0/255.0.0.0"}}, "has no prefix length"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "x"]}}, "ipBlock.except[1]: 'x' is not a prefix"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/8"]}}, "fd00::/8 is no part of 10.0.0.0/8"),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}, "has both selectors and an ipBlock"),
        ({}, "from[1]: says nothing"),
        ({"podSelecter": {}}, "from[1].podSelecter: is not a field (did you mean podSelector?)"),
        ({"podSelector": {"labels": {"a": "b"}}}, "from[1].podSelector.labels: is not a field"),
        (
            {"podSelector": {"matchLabels": {"a b": "c"}}},
            "from[1].podSelector.matchLabels[a b]: 'a b' is not a label name",
        ),
        ({"podSelector": {"matchLabels": {"a": "' || has(b) || c == '"}}}, "is not a label value"),
        (
            {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Equals"}]}},
            "from[1].namespaceSelector.matchExpressions[0].operator: 'Equals' is not an operator",
        ),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "matchExpressions[0].values: In has no values",
        ),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}},
            "matchExpressions[0].values: Exists has values",
        ),
    ],
)
def test_a_rule_with_a_bad_peer_does_not_become_a_rule_without_it(peer: dict[str, Any], said: str) -> None:
    good = {"podSelector": {}}
    converted = network_policy(_document(ingress=[{"from": [good, peer]}, {"from": [good]}]))
    assert isinstance(converted.resource, NetworkPolicy)
    assert len(converted.resource.spec.ingress) == 1
    (warning,) = map(str, converted.broken)
    assert said in warning


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "NetworkPolicy: metadata.name: is required"),
        ({"metadata": {"name": 1}}, "NetworkPolicy: metadata.name: must be a text, not a number (quote it)"),
        ({"metadata": []}, "NetworkPolicy: metadata: must be a map, not a list"),
        (_document(podSelector={"a": "b"}), "NetworkPolicy shop/web: spec.podSelector.a: is not a field"),
        (
            _document(podSelector={"matchLabels": {"'": "b"}}),
            "NetworkPolicy shop/web: spec.podSelector.matchLabels[']: \"'\" is not a label name",
        ),
        (_document(ingress={}), "NetworkPolicy shop/web: spec.ingress: must be a list, not a map"),
        (_document(policyTypes=["ingress"]), "spec.policyTypes[0]: 'ingress' is not a policy type (use Ingress or"),
    ],
)
def test_what_its_author_must_correct_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        network_policy(document)
    assert said in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.sampled_from(["", "a", "TCP", "10.0.0.0/8", "In"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["from", "to", "ports", "port", "endPort", "protocol", "podSelector", "ipBlock", "cidr"])
            | st.sampled_from(["except", "matchLabels", "matchExpressions", "key", "operator", "values", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional={"podSelector": JSON, "ingress": st.lists(JSON, max_size=2), "egress": JSON}))
def test_any_document_is_converted_or_refused(spec: dict[str, Any]) -> None:
    try:
        converted = network_policy(_document(**spec))
    except InvalidResource:
        return
    assert isinstance(converted.resource, NetworkPolicy)
