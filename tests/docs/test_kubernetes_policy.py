"""The page on Kubernetes policies: its examples become what it shows, its tables and numbers are the code's."""

from __future__ import annotations

import importlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tortie.api.codec import to_mapping
from tortie.api.documents import load_resource, read_documents
from tortie.convert import adminpeers, adminpolicy, policynames
from tortie.convert.kubernetes import convert, is_kubernetes
from tortie.convert.policynames import global_policy_name

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "kubernetes-policy.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
EXAMPLES = [pair for pair in pairwise(BLOCKS) if is_kubernetes(pair[0])]


def _example(name: str) -> dict[str, Any]:
    return next(block for block in BLOCKS if is_kubernetes(block) and block["metadata"]["name"] == name)


@pytest.mark.parametrize(("given", "shown"), EXAMPLES, ids=[given["metadata"]["name"] for given, _ in EXAMPLES])
def test_each_example_becomes_the_policy_below_it(given: dict[str, Any], shown: dict[str, Any]) -> None:
    (document,) = read_documents(yaml.safe_dump(shown))
    assert to_mapping(convert(given).resource) == to_mapping(load_resource(document))


def test_every_block_belongs_to_an_example() -> None:
    assert len(BLOCKS) == 2 * len(EXAMPLES)


def test_the_warnings_are_those_that_are_given() -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    assert shown.splitlines() == list(map(str, convert(_example("names")).warnings))


@pytest.mark.parametrize(("name", "stored"), re.findall(r"`([a-z.-]+)` is `(kcnp-[a-z0-9.-]+)`", TEXT))
def test_names_with_dots_are_as_told(name: str, stored: str) -> None:
    assert global_policy_name("kcnp", name) == stored


def test_the_tables_tell_names_tiers_and_orders() -> None:
    baseline = convert(_example("default")).resource
    assert f"| `{baseline.metadata.name}` | `kube-baseline` | 1001 |" in TEXT
    assert str(convert(_example("monitoring")).resource.metadata.name) == "kcnp.monitoring"


def test_the_limits_are_those_of_the_code() -> None:
    assert f"more than {adminpolicy.MOST_RULES} in one direction" in TEXT
    assert f"longer than {adminpeers.LONGEST_SELECTOR} characters" in TEXT.replace("\n", " ")
    assert f"beyond 0 to {adminpolicy.HIGHEST_PRIORITY}" in TEXT.replace("\n", " ")
    assert f"{policynames.LONGEST} characters at most" in TEXT.replace("\n", " ")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "told"),
    [("admin_policy_cnp", r"(\d+) of (\d+) cases"), ("admin_policy_anp_banp", r"cases of .*, (\d+) of (\d+) of")],
)
def test_the_cases_that_pass_are_counted_right(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "conformance")
    results = importlib.import_module("run").run_document(
        json.loads((ROOT / "tests" / "conformance" / "data" / f"{name}.json").read_bytes())
    )
    found = re.search(told, TEXT.replace("\n", " "))
    assert found is not None
    assert (int(found[1]), int(found[2])) == (sum(result.passed for result in results), len(results))
