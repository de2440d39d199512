"""Published truth tables, on the compiled form: no kernel, no cluster."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(name: str) -> tuple[list[Any], dict[str, Any]]:
    document = json.loads((HERE / "data" / f"{name}.json").read_bytes())
    assert len(document["cases"]) == document["count"]
    return document["cases"], document.get("clusters", {})


REACHABILITY = load("reachability")
PACKETS = load("packets")
TURNED = {"allow": "deny", "deny": "allow"}
TABLED = ("netpol_k8s_e2e", "netpol_cyclonus", "netpol_policy_assistant", "admin_policy_cnp", "admin_policy_anp_banp")
THOROUGH = {"netpol_cyclonus": [pytest.mark.thorough]}
TABLES = [
    pytest.param(case, clusters, id=case["id"], marks=THOROUGH.get(name, ()))
    for name in TABLED
    for each, clusters in [cases(name)]
    for case in each
]


@pytest.mark.parametrize(("case", "clusters"), TABLES)
def test_pods_reach_each_other_as_the_table_says(case: Any, clusters: dict[str, Any]) -> None:
    assert REACHABILITY.run_case(case, clusters) == []


ADMIN = [(case, clusters) for each, clusters in map(cases, TABLED[-2:]) for case in each]


def test_no_feature_is_left_out() -> None:
    assert not [case["id"] for case, _ in ADMIN if REACHABILITY.unsupported(case)]


def test_a_wrong_probe_is_noticed() -> None:
    for case, clusters in ADMIN[:: len(ADMIN) // 10]:
        turned = [{**probe, "expect": TURNED[probe["expect"]]} for probe in case["probes"]]
        assert len(REACHABILITY.run_case(case | {"probes": turned}, clusters)) == len(turned)


PACKET_CASES = cases("packet_verdicts")[0]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in PACKET_CASES])
def test_packets_meet_the_fate_that_is_published(case: Any) -> None:
    assert PACKETS.run_case(case) == []


def test_a_wrong_table_is_noticed() -> None:
    (case, *_), clusters = cases("netpol_k8s_e2e")
    turned = {port: [row.translate(str.maketrans(".X", "X.")) for row in rows] for port, rows in case["expect"].items()}
    assert len(REACHABILITY.run_case(case | {"expect": turned}, clusters)) == sum(
        len(row) - row.count("-") for rows in turned.values() for row in rows
    )
