"""Selectors, what they match and how they are written, case by case."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse
from tortie.selector.restrictions import Restriction

DATA = Path(__file__).parents[1] / "conformance" / "data" / "selectors.json"

CASES: dict[str, list[Any]] = {}
for _case in json.loads(DATA.read_text())["cases"]:
    CASES.setdefault(_case["kind"], []).append(pytest.param(_case, id=_case["id"]))


def test_there_is_a_test_for_every_case() -> None:
    counts = {kind: len(cases) for kind, cases in CASES.items()}
    assert counts == {"match": 744, "parse": 46, "canonical": 7, "rename": 4, "restrictions": 17}


def test_labels_are_matched(for_each: Callable[..., None]) -> None:
    for_each({case.id: case.values[0] for case in CASES["match"]}, labels_are_matched)


def labels_are_matched(case: dict[str, Any]) -> None:
    assert parse(case["selector"]).matches(case["labels"]) == (case["expect"] == "match")


@pytest.mark.parametrize("case", CASES["parse"])
def test_texts_are_accepted_or_refused(case: dict[str, Any]) -> None:
    if case["expect"] == "ok":
        assert parse(case["selector"]).canonical == case["canonical"]
    else:
        with pytest.raises(InvalidSelector):
            parse(case["selector"])


@pytest.mark.parametrize("case", CASES["canonical"])
def test_the_canonical_text_and_the_identity_are_the_same_everywhere(case: dict[str, Any]) -> None:
    selector = parse(case["selector"])
    assert selector.canonical == case["canonical"]
    assert selector.unique_id == case.get("uid", selector.unique_id)


@pytest.mark.parametrize("case", CASES["rename"])
def test_labels_are_renamed(case: dict[str, Any]) -> None:
    assert parse(case["selector"]).prefixed(case["prefix"]).canonical == case["canonical"]


@pytest.mark.parametrize("case", CASES["restrictions"])
def test_restrictions_are_found(case: dict[str, Any]) -> None:
    assert parse(case["selector"]).restrictions() == {
        label: Restriction(
            present=known.get("present", False),
            absent=known.get("absent", False),
            values=frozenset(known["values"]) if "values" in known else None,
        )
        for label, known in case["expect"].items()
    }
