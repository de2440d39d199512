"""Staged policies and host endpoints: what is filled in, what is stored, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api import codec
from tortie.api.defaults import with_defaults
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource
from tortie.api.validation import problems


def read(kind: str, spec: dict[str, Any]) -> Resource:
    namespace = {"namespace": "a"} if KINDS[kind].namespaced else {}
    return codec.decode(kind, msgspec.json.encode({"metadata": {"name": "n", **namespace}, "spec": spec}))


def paths(kind: str, spec: dict[str, Any]) -> list[str]:
    return [problem.path for problem in problems(with_defaults(read(kind, spec)), lambda text: None)]


def filled(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return dict(codec.to_mapping(with_defaults(read(kind, spec)))["spec"])


@pytest.mark.parametrize("kind", ["StagedNetworkPolicy", "StagedGlobalNetworkPolicy"])
def test_a_staged_policy_is_filled_in_as_the_enforced_one(kind: str) -> None:
    expected = {"stagedAction": "Set", "tier": "default", "types": ["Ingress"]}
    assert filled(kind, {}) == expected
    assert with_defaults(read(kind, {})).metadata.labels == {"projectcalico.org/tier": "default"}


def test_the_staged_action_is_stored_first_and_the_name_is_kept() -> None:
    stored = codec.encode(read("StagedNetworkPolicy", {"tier": "ops", "stagedAction": "Learn", "order": 5}))
    assert stored.endswith(b'"spec":{"stagedAction":"Learn","tier":"ops","order":5}}')
    assert rb'"projectcalico.org/metadata":"{\"name\":\"n\"}"' in stored


@pytest.mark.parametrize(("egress", "types"), [([], ["Ingress"]), ([{}], ["Ingress", "Egress"])])
def test_a_staged_kubernetes_policy_has_the_types_of_kubernetes(egress: list[Any], types: list[str]) -> None:
    assert filled("StagedKubernetesNetworkPolicy", {"egress": egress})["policyTypes"] == types


def test_the_pod_selector_is_always_stored() -> None:
    assert codec.encode(read("StagedKubernetesNetworkPolicy", {})).endswith(b'"spec":{"podSelector":{}}}')


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("StagedNetworkPolicy", {"selector": "a"}, "spec.selector"),
        ("StagedGlobalNetworkPolicy", {"order": 1}, "spec.order"),
        ("StagedKubernetesNetworkPolicy", {"podSelector": {"matchLabels": {"a": "b"}}}, "spec.podSelector"),
    ],
)
def test_staging_a_deletion_says_nothing_else(kind: str, spec: dict[str, Any], path: str) -> None:
    assert paths(kind, {"stagedAction": "Delete"}) == []
    assert paths(kind, {"stagedAction": "Delete", **spec}) == [path]


def ingress(**peer: Any) -> dict[str, Any]:
    return {"ingress": [{"from": [peer]}]}


def ports(**port: Any) -> dict[str, Any]:
    return {"egress": [{"ports": [port]}]}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"policyTypes": ["Both"]}, "spec.policyTypes[0]"),
        (ingress(), "spec.ingress[0].from[0]"),
        (ingress(podSelector={}, ipBlock={"cidr": "10.0.0.0/8"}), "spec.ingress[0].from[0]"),
        (ingress(ipBlock={}), "spec.ingress[0].from[0].ipBlock.cidr"),
        (
            ingress(ipBlock={"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}),
            "spec.ingress[0].from[0].ipBlock.except[0]",
        ),
        (ingress(ipBlock={"cidr": "10.0.0.0/8", "except": ["fd00::/9"]}), "spec.ingress[0].from[0].ipBlock.except[0]"),
        (
            ingress(namespaceSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
            "spec.ingress[0].from[0].namespaceSelector.matchExpressions[0].values",
        ),
        (
            ingress(podSelector={"matchExpressions": [{"key": "a", "operator": "Is"}]}),
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].operator",
        ),
        ({"podSelector": {"matchLabels": {"a b": ""}}}, "spec.podSelector.matchLabels[a b]"),
        (ports(protocol="ICMP"), "spec.egress[0].ports[0].protocol"),
        (ports(port=0), "spec.egress[0].ports[0].port"),
        (ports(port="Web"), "spec.egress[0].ports[0].port"),
        (ports(port="http", endPort=90), "spec.egress[0].ports[0].endPort"),
        (ports(port=80, endPort=79), "spec.egress[0].ports[0].endPort"),
    ],
)
def test_a_staged_kubernetes_policy_is_judged_as_kubernetes_would(spec: dict[str, Any], path: str) -> None:
    assert paths("StagedKubernetesNetworkPolicy", spec) == [path]


def test_a_whole_staged_kubernetes_policy_is_taken() -> None:
    spec = {
        "podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [
            {
                "ports": [{"protocol": "TCP", "port": "http"}, {"port": 80, "endPort": 90}],
                "from": [
                    {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                ],
            }
        ],
        "egress": [{"to": [{"namespaceSelector": {}}]}],
    }
    assert paths("StagedKubernetesNetworkPolicy", spec) == []
    expected = {"stagedAction": "Set", **spec, "policyTypes": ["Ingress", "Egress"]}
    assert filled("StagedKubernetesNetworkPolicy", spec) == expected


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"interfaceName": "eth0"}, "spec.node"),
        ({"node": "n1"}, "spec.interfaceName"),
        ({"node": "n1", "interfaceName": "a" * 16}, "spec.interfaceName"),
        ({"node": "n1", "expectedIPs": ["10.0.0.1/32"]}, "spec.expectedIPs[0]"),
        (
            {"node": "n1", "interfaceName": "*", "ports": [{"name": "p", "protocol": "ICMP", "port": 1}]},
            "spec.ports[0].protocol",
        ),
        ({"node": "n1", "interfaceName": "*", "ports": [{"protocol": "TCP", "port": 1}]}, "spec.ports[0].name"),
        ({"node": "n1", "interfaceName": "*", "ports": [{"name": "p", "protocol": "TCP"}]}, "spec.ports[0].port"),
    ],
)
def test_a_host_endpoint_must_be_found_on_its_host(spec: dict[str, Any], path: str) -> None:
    assert paths("HostEndpoint", spec) == [path]


def test_protocols_of_a_host_endpoint_are_canonical() -> None:
    spec = {"node": "n1", "interfaceName": "*", "ports": [{"name": "p", "protocol": "udp", "port": 1}]}
    assert filled("HostEndpoint", spec)["ports"] == [{"name": "p", "protocol": "UDP", "port": 1}]
