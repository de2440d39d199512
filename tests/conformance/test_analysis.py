"""Published questions about policies and the connections of real applications, answered by the analysis."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
FILES = ("workload_connectivity", "verifier_queries", "netpol_recipes_unlabelled")


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "data" / f"{name}.json").read_bytes())
    assert len(found["cases"]) == found["count"]
    return found


@pytest.fixture(scope="module")
def formats() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield importlib.import_module("formats")


def failures(formats: ModuleType, found: dict[str, Any], cases: list[dict[str, Any]]) -> list[str]:
    lines = []
    for case in cases:
        try:
            lines += [f"{case['id']}: {line}" for line in formats.judge(case, found)]
        except formats.Unsupported:
            continue
    return lines


@pytest.mark.parametrize("name", FILES)
def test_some_cases_of_each_file_are_as_published(formats: ModuleType, name: str) -> None:
    found = document(name)
    assert failures(formats, found, found["cases"][:: max(1, len(found["cases"]) // 20)]) == []


@pytest.mark.thorough
@pytest.mark.parametrize("name", FILES)
def test_all_cases_are_as_published(formats: ModuleType, name: str) -> None:
    found = document(name)
    assert failures(formats, found, found["cases"]) == []


def test_only_what_a_file_does_not_hold_or_one_tool_counts_is_left_out(formats: ModuleType) -> None:
    found = document("verifier_queries")
    reasons = [formats.verifier.unsupported(case, found) for case in found["cases"]]
    counted = {case["query"] for case, reason in zip(found["cases"], reasons, strict=True) if "counts" in reason}
    assert counted == {"emptiness", "redundancy", "semanticDiff"}
    assert sum(bool(reason) and "counts" not in reason for reason in reasons) < 20


@pytest.mark.thorough
def test_counts_are_as_published_or_as_the_page_explains(formats: ModuleType) -> None:
    """docs/explanation/verification.md says why those differ that are listed."""
    counts = importlib.import_module("counts")
    found = document("verifier_queries")
    ours = json.loads((HERE / "our_counts.json").read_bytes())
    cases = [case for case in found["cases"] if case["query"] in counts.COUNTS]
    told = {
        case["id"]: counts.COUNTS[case["query"]](formats.verifier.Asked(case, found), case["arguments"])
        for case in cases
    }
    assert {case["id"]: told[case["id"]] for case in cases if told[case["id"]] != case["expect"]} == ours
    page = (HERE.parents[1] / "docs" / "explanation" / "verification.md").read_text()
    for query in counts.COUNTS:
        asked = [case for case in cases if case["query"] == query]
        assert f"| {query} | {len(asked)} | {sum(case['id'] not in ours for case in asked)} |" in page


def test_a_wrong_answer_is_noticed(formats: ModuleType) -> None:
    found = document("verifier_queries")
    case = next(case for case in found["cases"] if case["query"] == "equivalence")
    assert formats.judge({**case, "expect": case["expect"] + 1}, found)


def test_a_connection_that_is_not_listed_is_noticed(formats: ModuleType) -> None:
    found = document("workload_connectivity")
    case = found["cases"][0]
    assert formats.judge({**case, "expect": case["expect"][1:]}, found)
