"""What the public cases leave out: identity, limits, every problem at once, and selectors by the caller's check."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api import fields
from tortie.api.codec import decode
from tortie.api.constraints import CONSTRAINTS, SEARCHES
from tortie.api.defaults import with_defaults
from tortie.api.kinds import KINDS
from tortie.api.validation import problems, validate
from tortie.base.errors import InvalidResource, Problem


def refuse_bad(text: str) -> str | None:
    return "it is bad" if "bad" in text else None


def found(kind: str, spec: dict[str, Any], **metadata: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.problem) for problem in _problems(kind, spec, **metadata)]


def _problems(kind: str, spec: dict[str, Any], **metadata: Any) -> list[Problem]:
    namespace = {"namespace": "a"} if KINDS[kind].namespaced else {}
    name = {} if kind == "WorkloadEndpoint" else {"name": "n"}
    parts = {} if name else {"node": "n", "orchestrator": "k8s", "pod": "p", "endpoint": "e"}
    stored = {"metadata": {**name, **namespace, **metadata}, "spec": parts | spec}
    return problems(with_defaults(decode(kind, msgspec.json.encode(stored))), refuse_bad)


@pytest.mark.parametrize(
    ("kind", "metadata", "path"),
    [
        ("Tier", {"name": ""}, "metadata.name"),
        ("Tier", {"namespace": "a"}, "metadata.namespace"),
        ("NetworkSet", {"namespace": ""}, "metadata.namespace"),
        ("NetworkSet", {"namespace": "A"}, "metadata.namespace"),
        (
            "NetworkSet",
            {"labels": {"projectcalico.org/namespace": "a"}},
            "metadata.labels[projectcalico.org/namespace]",
        ),
        ("Tier", {"annotations": {"a": "x" * 262_144}}, "metadata.annotations"),
        ("Tier", {"labels": {"a": "b c"}}, "metadata.labels[a]"),
    ],
)
def test_identity_and_metadata(kind: str, metadata: dict[str, Any], path: str) -> None:
    assert [place for place, _ in found(kind, {}, **metadata)] == [path]


def rule(**given: Any) -> dict[str, Any]:
    return {"ingress": [{"action": "Allow", **given}]}


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("NetworkPolicy", {"ingress": [{"action": "Allow"}] * 1025}, "spec.ingress"),
        ("NetworkPolicy", {"selector": "a" * 1025}, "spec.selector"),
        ("NetworkPolicy", {"selector": "bad"}, "spec.selector"),
        ("NetworkPolicy", {"tier": "a.b"}, "spec.tier"),
        ("NetworkPolicy", rule(source={"selector": "bad"}), "spec.ingress[0].source.selector"),
        (
            "NetworkPolicy",
            rule(source={"namespaceSelector": "global() || a"}),
            "spec.ingress[0].source.namespaceSelector",
        ),
        (
            "NetworkPolicy",
            rule(source={"namespaceSelector": "!global()"}),
            "spec.ingress[0].source.namespaceSelector",
        ),
        (
            "NetworkPolicy",
            rule(source={"serviceAccounts": {"selector": "bad"}}),
            "spec.ingress[0].source.serviceAccounts.selector",
        ),
        ("NetworkPolicy", rule(source={"nets": ["10.0.0.1"]}), "spec.ingress[0].source.nets[0]"),
        ("NetworkPolicy", rule(source={"nets": ["10.0.0.0/8"] * 2}), "spec.ingress[0].source.nets[1]"),
        ("NetworkPolicy", rule(source={"ports": [80]}), "spec.ingress[0].source.ports"),
        ("NetworkPolicy", rule(destination={"ports": ["a", "80:90"]}), "spec.ingress[0].destination.ports"),
        ("NetworkPolicy", rule(protocol="UDPLite", source={"ports": ["a"]}), "spec.ingress[0].source.ports"),
        ("NetworkPolicy", rule(protocol="TCP", source={"ports": [1] * 51}), "spec.ingress[0].source.ports"),
        ("NetworkPolicy", rule(notProtocol="ICMPv6", ipVersion=4), "spec.ingress[0].ipVersion"),
        ("NetworkPolicy", rule(notICMP={"type": 1}), "spec.ingress[0].notICMP"),
        ("NetworkPolicy", rule(http={"paths": [{}]}), "spec.ingress[0].http.paths[0]"),
        ("NetworkPolicy", rule(http={"paths": [{"exact": "a"}]}), "spec.ingress[0].http.paths[0].exact"),
        ("NetworkPolicy", rule(http={"methods": ["GET", "GET"]}), "spec.ingress[0].http.methods[1]"),
        ("NetworkPolicy", {"ingress": [{"action": "Deny", "http": {}}]}, "spec.ingress[0].http"),
        ("GlobalNetworkPolicy", rule(source={"services": {"name": "s"}}), "spec.ingress[0].source.services.namespace"),
        ("GlobalNetworkPolicy", {"doNotTrack": True}, "spec.applyOnForward"),
        ("IPPool", {}, "spec.cidr"),
        ("IPPool", {"cidr": "169.254.7.0/24"}, "spec.cidr"),
        ("IPPool", {"cidr": "fe00::/7"}, "spec.cidr"),
        ("IPPool", {"cidr": "10.0.0.0/16", "blockSize": 19}, "spec.blockSize"),
        ("IPPool", {"cidr": "10.0.0.0/16", "nodeSelector": "bad"}, "spec.nodeSelector"),
        ("BGPConfiguration", {"listenPort": 65536}, "spec.listenPort"),
        ("BGPConfiguration", {"ipv4NormalRoutePriority": 0}, "spec.ipv4NormalRoutePriority"),
        ("BGPPeer", {"keepOriginalNextHop": True, "nextHopMode": "Self"}, "spec.nextHopMode"),
        ("BGPPeer", {"peerSelector": "bad"}, "spec.peerSelector"),
        ("BGPPeer", {"password": {"secretKeyRef": {"name": "s"}}}, "spec.password.secretKeyRef.key"),
        ("Node", {"bgp": {}}, "spec.bgp"),
        ("WorkloadEndpoint", {"qosControls": {"dscp": 64}}, "spec.qosControls.dscp"),
        ("WorkloadEndpoint", {"qosControls": {"ingressBurst": -1}}, "spec.qosControls.ingressBurst"),
    ],
)
def test_one_mistake_is_one_problem_at_its_field(kind: str, spec: dict[str, Any], path: str) -> None:
    assert [place for place, _ in found(kind, spec)] == [path]


NET_LISTS = [(side, field) for side in ("source", "destination") for field in ("nets", "notNets")]


@pytest.mark.parametrize(("one", "other"), list(combinations(NET_LISTS, 2)))
def test_no_two_lists_of_prefixes_of_a_rule_are_of_different_families(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    for net, paths in (("fd00::/8", ["spec.ingress[0]"]), ("172.16.0.0/12", [])):
        sides: dict[str, dict[str, list[str]]] = {"source": {}, "destination": {}}
        for (side, field), text in ((one, "10.0.0.0/8"), (other, net)):
            sides[side][field] = [text]
        assert [path for path, _ in found("NetworkPolicy", rule(**sides))] == paths


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("NetworkSet", {"nets": ["10.0.0.1", "10.0.0.1/8", "fd00::1", "0.0.0.0/0"]}),
        ("NetworkPolicy", rule(destination={"ports": ["web", "dns"]})),
        ("NetworkPolicy", rule(source={"namespaceSelector": "global()"})),
    ],
)
def test_what_looks_odd_is_valid_still(kind: str, spec: dict[str, Any]) -> None:
    assert found(kind, spec) == []


@pytest.mark.parametrize("field", ["nodeToNodeMeshEnabled", "asNumber", "nodeMeshPassword", "nodeMeshMaxRestartTime"])
def test_settings_of_the_whole_cluster_are_refused_for_one_node(field: str) -> None:
    values = {"nodeToNodeMeshEnabled": True, "asNumber": 1, "nodeMeshPassword": {}, "nodeMeshMaxRestartTime": "1s"}
    spec = {field: values[field]}
    assert found("BGPConfiguration", spec, name="node.a") == [(f"spec.{field}", "cannot be set for one node")]
    assert found("BGPConfiguration", spec, name="default") == []


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidResource) as caught:
        validate(KINDS["NetworkPolicy"](), refuse_bad)
    assert [problem.path for problem in caught.value.problems] == ["metadata.name", "metadata.namespace"]


def test_a_problem_says_what_would_be_right() -> None:
    (problem,) = _problems("Tier", {"defaultAction": "Allow"})
    assert str(problem) == "Tier n: spec.defaultAction: 'Allow' is not valid (one of Deny, Pass)"


def test_the_tables_name_fields_that_exist() -> None:
    for struct, table in fields.FIELDS.items():
        assert set(table) <= set(struct.__struct_fields__), struct
    assert all(issubclass(struct, msgspec.Struct) for struct in (*CONSTRAINTS, *SEARCHES))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_any_resource_is_judged(kind: str, instances: Callable[[type], st.SearchStrategy[Any]]) -> None:
    stored = {field.encode_name for field in msgspec.structs.fields(KINDS[kind])}

    @settings(max_examples=settings.default.max_examples // 2)
    @given(st.data())
    def judged(data: st.DataObject) -> None:
        for problem in problems(with_defaults(data.draw(instances(KINDS[kind]))), refuse_bad):
            assert re.split(r"[.[]", problem.path)[0] in stored

    judged()
