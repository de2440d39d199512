"""Kubernetes objects and the resources that they become, case by case."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.api.codec import decode, encode, to_mapping
from tortie.api.pod import Pod
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource
from tortie.convert import namespace, serviceaccount
from tortie.convert.adminpolicy import global_network_policy
from tortie.convert.clusternetworkpolicy import FORM
from tortie.convert.labelselector import PODS, namespace_selector, pod_selector
from tortie.convert.networkpolicy import network_policy
from tortie.convert.objects import LabelSelector
from tortie.convert.pod import workload_endpoint

DATA = Path(__file__).parents[1] / "conformance" / "data" / "k8s_conversion.json"

CASES = [pytest.param(case, id=case["id"]) for case in json.loads(DATA.read_text())["cases"]]


def _endpoint_of(document: dict[str, Any]) -> Resource | None:
    pod = decode("Pod", msgspec.json.encode(document | {"apiVersion": "v1", "kind": "Pod"}))
    assert isinstance(pod, Pod)
    converted = workload_endpoint(pod)
    return None if converted is None else converted.resource


CONVERSIONS = {
    "Pod": _endpoint_of,
    "Namespace": namespace.profile,
    "ServiceAccount": lambda document: serviceaccount.profile(document).resource,
    "NetworkPolicy": lambda document: network_policy(document).resource,
    "ClusterNetworkPolicy": lambda document: global_network_policy(FORM, document).resource,
}


def _selector_text(case: dict[str, Any]) -> str:
    selector = msgspec.convert(case["input"], LabelSelector | None)
    convert = pod_selector if case["selectorType"] == "pod" else namespace_selector
    return convert(selector, "selector")


def _is_refused(case: dict[str, Any]) -> bool:
    """Others store a cluster-wide policy that is wrong in part, and nothing of one that is wrong in whole."""
    return case["kind"] == "ClusterNetworkPolicy" and (case.get("expectError", False) or case["expect"] == [None])


def _expected(case: dict[str, Any]) -> list[dict[str, Any]]:
    """As others have it, but that the peers of a cluster-wide policy are pods, as its API says.

    Others take whatever has the labels of the namespaces: sets of networks, and for labels that must
    not be there everything outside all namespaces too.
    """
    expected = copy.deepcopy(case["expect"])
    if case["kind"] == "ClusterNetworkPolicy":
        for rule in [rule for field in ("ingress", "egress") for rule in expected[0]["spec"].get(field, ())]:
            for side in (rule.get("source", {}), rule.get("destination", {})):
                if "namespaceSelector" in side:
                    side.setdefault("selector", PODS)
    return expected


def test_every_kind_has_its_cases() -> None:
    assert len(CASES) == 48


@pytest.mark.parametrize("case", CASES)
def test_an_object_becomes_what_others_make_of_it(case: dict[str, Any]) -> None:
    if case["kind"] == "LabelSelector":
        assert _selector_text(case) == case["expect"]
    elif _is_refused(case):
        with pytest.raises(InvalidResource):
            CONVERSIONS[case["kind"]](case["input"])
    else:
        resource = CONVERSIONS[case["kind"]](case["input"])
        assert [to_mapping(decode(resource.kind, encode(resource)))] == _expected(case)
