"""The network-policy tables of the Kubernetes end-to-end suite, as real packets between workloads on three hosts."""

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
DOCUMENT = json.loads((CONFORMANCE / "data" / "netpol_k8s_e2e.json").read_bytes())

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def kernel() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(CONFORMANCE)
        return importlib.import_module("kernel")


@pytest.fixture(scope="module")
def lab(kernel: ModuleType) -> Iterator[Lab]:
    with kernel.laboratory("conf", DOCUMENT["cases"], DOCUMENT["clusters"]) as lab:
        yield lab


def test_one_lab_serves_every_case(kernel: ModuleType) -> None:
    assert kernel.groups(DOCUMENT["cases"], DOCUMENT["clusters"]) == [DOCUMENT["cases"]]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in DOCUMENT["cases"]])
def test_packets_arrive_as_the_table_says(kernel: ModuleType, lab: Lab, case: dict[str, Any]) -> None:
    assert kernel.run_case(lab, case, DOCUMENT["clusters"]) == []


def test_a_wrong_table_is_noticed(kernel: ModuleType, lab: Lab) -> None:
    case = DOCUMENT["cases"][-1]
    turned = {port: [row.translate(str.maketrans(".X", "X.")) for row in rows] for port, rows in case["expect"].items()}
    found = kernel.run_case(lab, case | {"expect": turned}, DOCUMENT["clusters"], within=0)
    assert len(found) == sum(len(row) - row.count("-") for rows in turned.values() for row in rows)
    assert all(line.endswith(("expected X, found .", "expected ., found X")) for line in found)


def test_pods_are_on_every_host(lab: Lab) -> None:
    assert {one.host for one in lab.state().attachments.values()} == {host.name for host in lab.topology.hosts}
