"""Kubernetes objects and the resources that they become, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.api.codec import decode, encode, to_mapping
from tortie.convert import namespace, serviceaccount
from tortie.convert.labelselector import namespace_selector, pod_selector
from tortie.convert.networkpolicy import network_policy
from tortie.convert.objects import LabelSelector

DATA = Path(__file__).parents[1] / "conformance" / "data" / "k8s_conversion.json"

CASES = [
    pytest.param(case, id=case["id"])
    for case in json.loads(DATA.read_text())["cases"]
    if case["kind"] in {"Namespace", "ServiceAccount", "NetworkPolicy", "LabelSelector"}
]

CONVERSIONS = {
    "Namespace": namespace.profile,
    "ServiceAccount": serviceaccount.profile,
    "NetworkPolicy": lambda document: network_policy(document).resource,
}


def _selector_text(case: dict[str, Any]) -> str:
    selector = msgspec.convert(case["input"], LabelSelector | None)
    convert = pod_selector if case["selectorType"] == "pod" else namespace_selector
    return convert(selector, "selector")


def test_every_kind_has_its_cases() -> None:
    assert len(CASES) == 26


@pytest.mark.parametrize("case", CASES)
def test_an_object_becomes_what_others_make_of_it(case: dict[str, Any]) -> None:
    if case["kind"] == "LabelSelector":
        assert _selector_text(case) == case["expect"]
    else:
        resource = CONVERSIONS[case["kind"]](case["input"])
        assert [to_mapping(decode(resource.kind, encode(resource)))] == case["expect"]
