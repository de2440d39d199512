"""Published cases and examples as whole documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tortie.api.defaults import with_defaults
from tortie.api.documents import load_resource, read_documents
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource
from tortie.selector.check import selector_problem

ROOT = Path(__file__).parents[3]


def _cases() -> list[dict[str, Any]]:
    cases = json.loads((ROOT / "tests/conformance/data/validation.json").read_text())["cases"]
    wholes = [case["value"] if case["scope"] == "resource" else case.get("resource") for case in cases]
    return [
        with_namespace(whole) | {"expected": case["expect"]}
        for case, whole in zip(cases, wholes, strict=True)
        if whole is not None and whole["kind"] in KINDS
    ]


def with_namespace(document: dict[str, Any]) -> dict[str, Any]:
    """A document that is of the namespace `default`, where it needs one."""
    if not KINDS[document["kind"]].namespaced:
        return dict(document)
    return document | {"metadata": {"namespace": "default", **document["metadata"]}}


@pytest.fixture(scope="session")
def examples() -> dict[str, dict[str, Any]]:
    """One document of each kind, from the documentation."""
    folder = ROOT / "docs/reference/examples"
    return {kind: yaml.safe_load((folder / f"{kind.lower()}.yaml").read_text()) for kind in KINDS}


@pytest.fixture(scope="session")
def valid(examples: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents that validation takes."""
    published = [_without_mark(case) for case in _cases() if case["expected"] == "valid"]
    return [*examples.values(), *published]


@pytest.fixture(scope="session")
def invalid() -> list[dict[str, Any]]:
    """Documents that validation refuses."""
    return [_without_mark(case) for case in _cases() if case["expected"] == "invalid"]


def _without_mark(case: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in case.items() if name != "expected"}


class Judge:
    """Our own validation, of documents as people write them."""

    def load(self, document: dict[str, Any]) -> Resource:
        """The resource of a document, with defaults filled in."""
        (read,) = read_documents(json.dumps(document))
        return with_defaults(load_resource(read))

    def accepts(self, document: dict[str, Any]) -> bool:
        """Whether the document could be applied."""
        try:
            return not problems(self.load(document), selector_problem)
        except InvalidResource:
            return False


@pytest.fixture(scope="session")
def judge() -> Judge:
    """What documents are judged by."""
    return Judge()
