"""The OpenAPI document is one, and describes what the API gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from tortie.api.codec import to_json
from tortie.api.export import openapi
from tortie.api.kinds import KINDS


def test_it_is_an_openapi_document() -> None:
    assert list(OpenAPIV30SpecValidator(openapi.document()).iter_errors()) == []


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document."""
    return openapi.document()


def test_every_kind_says_its_group_version_and_kind(document: dict[str, Any]) -> None:
    named = {
        one["kind"]: f"{one['group']}/{one['version']}".lstrip("/")
        for schema in document["components"]["schemas"].values()
        for one in schema.get("x-kubernetes-group-version-kind", ())
    }
    assert named == {kind: struct.api_version for kind, struct in KINDS.items()}


def test_what_is_stored_fits(document: dict[str, Any], valid: list[dict[str, Any]], judge: Any) -> None:
    schemas = {
        kind: OAS30Validator({"$ref": f"#/components/schemas/{kind}", "components": document["components"]})
        for kind in KINDS
    }
    for one in valid:
        stored = json.loads(to_json(judge.load(one)))
        assert [error.message for error in schemas[one["kind"]].iter_errors(stored)] == []
