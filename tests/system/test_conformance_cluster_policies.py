"""The conformance suites of cluster-wide Kubernetes policies, as real packets between workloads on three hosts.

Of ClusterNetworkPolicy the first case of each suite is always sent, of its predecessors one with all
their kinds; the other cases, which differ in protocols and directions, are for the soak.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tortie.lab.lab import Lab

CONFORMANCE = Path(__file__).parents[1] / "conformance"
DOCUMENTS = [
    json.loads((CONFORMANCE / "data" / f"{name}.json").read_bytes())
    for name in ("admin_policy_cnp", "admin_policy_anp_banp")
]
CLUSTERS = {name: cluster for document in DOCUMENTS for name, cluster in document["clusters"].items()}
CASES = [case for document in DOCUMENTS for case in document["cases"]]
FIRST = {case["suite"]: case["id"] for case in reversed(CASES)}
ALWAYS = {
    case["id"]
    for case in CASES
    if case["id"] == FIRST[case["suite"]] and case["suite"].startswith(("CNP", "AdminNetworkPolicyIntegration"))
}

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(CONFORMANCE)
        yield importlib.import_module("kernel")


@pytest.fixture(scope="module")
def lab(kernel: ModuleType) -> Iterator[Lab]:
    with kernel.laboratory("cnp", CASES, CLUSTERS) as lab:
        yield lab


def _param(case: dict[str, Any]) -> Any:
    marks = () if case["id"] in ALWAYS else (pytest.mark.soak,)
    return pytest.param(case, id=f"{case['suite']}-{case['id']}", marks=marks)


@pytest.mark.parametrize("case", [_param(case) for case in CASES])
def test_packets_arrive_as_the_suite_says(kernel: ModuleType, lab: Lab, case: dict[str, Any]) -> None:
    assert kernel.run_case(lab, case, CLUSTERS) == []


def test_one_lab_serves_every_case(kernel: ModuleType) -> None:
    assert kernel.groups(CASES, CLUSTERS) == [CASES]


def test_a_wrong_probe_is_noticed(kernel: ModuleType, lab: Lab) -> None:
    case = CASES[0]
    turned = [{**probe, "expect": {"allow": "deny", "deny": "allow"}[probe["expect"]]} for probe in case["probes"]]
    found = kernel.run_case(lab, case | {"probes": turned}, CLUSTERS, within=0)
    assert len(found) == len(turned)
    assert {line.rpartition(": ")[2] for line in found} == {"expected X, found .", "expected ., found X"}
