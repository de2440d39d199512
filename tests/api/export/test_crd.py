"""The definitions for Kubernetes keep its rules, and their expressions agree with validation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import celpy
import msgspec
import pytest
import re2
from openapi_schema_validator import OAS30Validator

from tortie.api.codec import to_json
from tortie.api.constraints import CONSTRAINTS
from tortie.api.export import crd
from tortie.api.kinds import KINDS
from tortie.api.reference.describe import structs_below
from tortie.api.resource import API_VERSION, Model, Resource
from tortie.base.errors import InvalidResource

KINDS_THERE = [kind.kind for kind in crd.custom_kinds()]

WORDS = {
    *("type", "format", "description", "default", "properties", "required", "items", "additionalProperties", "enum"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "nullable", "anyOf"),
    *("x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-validations"),
}
"""What a structural schema may say; `uniqueItems`, `$ref`, `additionalProperties: false` and others it may not."""

MOST = 1024 * 20
"""Evaluations of one expression that an object may ask for: HTTP paths of the rules of a policy. An API server takes
some ten million steps, and an expression has a few dozen."""

FURTHER: list[tuple[str, dict[str, Any]]] = [
    ("node.a", {"kind": "BGPConfiguration", "spec": {"nodeToNodeMeshEnabled": True}}),
    ("node.a", {"kind": "BGPConfiguration", "spec": {"asNumber": 1}}),
    ("node.a", {"kind": "BGPConfiguration", "spec": {"nodeMeshPassword": {}}}),
    ("node.a", {"kind": "BGPConfiguration", "spec": {"nodeMeshMaxRestartTime": "1s"}}),
    ("default", {"kind": "BGPConfiguration", "spec": {"nodeToNodeMeshEnabled": False, "nodeMeshPassword": {}}}),
    ("a", {"kind": "BGPPeer", "spec": {"keepOriginalNextHop": True, "nextHopMode": "Self"}}),
    ("a", {"kind": "NetworkPolicy", "spec": {"ingress": [{"action": "Allow", "http": {"paths": [{}]}}]}}),
    ("a", {"kind": "NetworkPolicy", "spec": {"ingress": [{"action": "Deny", "http": {}}]}}),
    ("a", {"kind": "ClusterInformation", "spec": {}}),
    ("a", {"kind": "KubeControllersConfiguration", "spec": {}}),
    ("a", {"kind": "IPAMConfiguration", "spec": {}}),
    ("default", {"kind": "IPAMConfiguration", "spec": {"autoAllocateBlocks": False}}),
    ("default", {"kind": "IPAMConfiguration", "spec": {"maxBlocksPerHost": 1}}),
    ("node.a", {"kind": "FelixConfiguration", "spec": {"nodeSelector": "all()"}}),
    ("a", {"kind": "StagedGlobalNetworkPolicy", "spec": {"doNotTrack": True}}),
    ("a", {"kind": "NetworkPolicy", "spec": {"ingress": [{"action": "Allow", "http": {"paths": [{"exact": "/"}]}}]}}),
]
"""Constraints that no published case breaks, or keeps: name, and the rest of a document."""


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all schemas in it that say a type."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from schemas(inner)
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from schemas(schema[word])


def document(kind: str) -> dict[str, Any]:
    (version,) = crd.definition(KINDS[kind])["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("kind", KINDS_THERE)
def test_names_scope_and_version(kind: str) -> None:
    definition, struct = crd.definition(KINDS[kind]), KINDS[kind]
    spec = definition["spec"]
    assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert spec["names"]["singular"] == kind.lower()
    assert spec["scope"] == ("Namespaced" if struct.namespaced else "Cluster")
    assert [(one["name"], one["served"], one["storage"]) for one in spec["versions"]] == [("v3", True, True)]


def test_no_two_definitions_answer_to_one_name() -> None:
    names = [crd.definition(KINDS[kind])["spec"]["names"] for kind in KINDS_THERE]
    spoken = [word for one in names for word in {one["plural"], one["singular"], *one.get("shortNames", ())}]
    assert len(spoken) == len(set(spoken))


@pytest.mark.parametrize("kind", KINDS_THERE)
def test_the_schema_is_structural(kind: str) -> None:
    for schema in schemas(document(kind)):
        assert set(schema) <= WORDS
        assert ("type" in schema) is not ("x-kubernetes-int-or-string" in schema)
        assert not ("properties" in schema and "additionalProperties" in schema)
        if "x-kubernetes-int-or-string" in schema:
            assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        if schema.get("x-kubernetes-list-type") == "set":
            assert schema["items"]["type"] in ("string", "integer")
        assert set(schema.get("required", ())) <= set(schema.get("properties", ()))


@pytest.mark.parametrize("kind", KINDS_THERE)
def test_of_metadata_only_the_name_is_limited(kind: str) -> None:
    metadata = document(kind)["properties"]["metadata"]
    assert metadata["type"] == "object"
    assert set(metadata["properties"]) == {"name"}


@pytest.mark.parametrize("kind", KINDS_THERE)
def test_patterns_are_those_of_the_api_servers_language(kind: str) -> None:
    for schema in schemas(document(kind)):
        if "pattern" in schema:
            re2.compile(schema["pattern"])


@pytest.mark.parametrize("kind", KINDS_THERE)
def test_every_default_fits_its_schema(kind: str) -> None:
    for schema in schemas(document(kind)):
        if "default" in schema:
            assert schema["default"] in schema.get("enum", [schema["default"]])
            assert isinstance(schema["default"], str) is (schema["type"] == "string")


def test_nothing_is_filled_in_for_a_status() -> None:
    status = document("KubeControllersConfiguration")["properties"]["status"]
    assert [schema for schema in schemas(status) if "default" in schema] == []


@pytest.mark.parametrize("kind", KINDS_THERE)
def test_expressions_stand_only_where_the_worst_case_has_an_end(kind: str) -> None:
    def walk(schema: dict[str, Any], times: int) -> None:
        assert "x-kubernetes-validations" not in schema or times <= MOST
        for inner in schema.get("properties", {}).values():
            walk(inner, times)
        if "items" in schema:
            walk(schema["items"], times * schema.get("maxItems", 1_000_000))

    walk(document(kind), 1)


def test_what_is_stored_fits(valid: list[dict[str, Any]], judge: Any) -> None:
    judges = {kind: OAS30Validator(document(kind)) for kind in KINDS_THERE}
    for one in (one for one in valid if one["kind"] in judges):
        stored = json.loads(to_json(judge.load(one)))
        assert [error.message for error in judges[one["kind"]].iter_errors(stored)] == [], one


def test_protocols_may_be_names_and_numbers(examples: dict[str, dict[str, Any]]) -> None:
    judges = OAS30Validator(document("HostEndpoint"))
    ports = [{"name": "a", "protocol": protocol, "port": 1} for protocol in ("TCP", "udp", 132)]
    assert judges.is_valid(examples["HostEndpoint"] | {"spec": {"node": "a", "ports": ports}})


def test_what_must_not_change_says_so() -> None:
    spec = document("IPPool")["properties"]["spec"]["properties"]
    for name in ("cidr", "blockSize"):
        assert [one["rule"] for one in spec[name]["x-kubernetes-validations"]] == ["self == oldSelf"]
    assert "'LoadBalancer' in oldSelf" in spec["allowedUses"]["x-kubernetes-validations"][0]["rule"]


def test_columns_show_fields_that_exist() -> None:
    for kind in KINDS_THERE:
        (version,) = crd.definition(KINDS[kind])["spec"]["versions"]
        for column in version["additionalPrinterColumns"][:-1]:
            _, top, name = column["jsonPath"].split(".")
            assert name in document(kind)["properties"][top]["properties"]


def models(value: Any) -> Iterator[Any]:
    """An object and all objects in it."""
    if isinstance(value, Model):
        yield value
        for name in value.__struct_fields__:
            yield from models(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from models(one)


def reachable(judge: Any, document: dict[str, Any]) -> list[Any]:
    """The objects in a document, or nothing when its shape is wrong: expressions are evaluated after shapes."""
    try:
        return list(models(judge.load(document)))
    except InvalidResource:
        return []


class Expressions:
    """Evaluates expressions, each compiled once."""

    def __init__(self) -> None:
        self._environment = celpy.Environment()
        self._programs: dict[str, Any] = {}
        self._said: dict[tuple[str, bytes], bool] = {}

    def is_kept(self, cel: str, model: Any) -> bool:
        """What an API server would say."""
        text = to_json(model) if isinstance(model, Resource) else msgspec.json.encode(model)
        if (cel, text) not in self._said:
            if cel not in self._programs:
                self._programs[cel] = self._environment.program(self._environment.compile(cel))
            self._said[cel, text] = bool(self._programs[cel].evaluate({"self": celpy.json_to_cel(json.loads(text))}))
        return self._said[cel, text]


@pytest.mark.thorough
def test_expressions_say_what_validation_says(
    valid: list[dict[str, Any]], invalid: list[dict[str, Any]], judge: Any
) -> None:
    expressions = Expressions()
    found: set[tuple[type, str, bool]] = set()
    further = [{"apiVersion": API_VERSION, "metadata": {"name": name}} | rest for name, rest in FURTHER]
    for model in (one for document in [*valid, *invalid, *further] for one in reachable(judge, document)):
        for constraint in (one for one in CONSTRAINTS.get(type(model), ()) if one.cel):
            kept = expressions.is_kept(constraint.cel, model)
            assert kept is not bool(constraint.broken(model)), (constraint.cel, model)
            found.add((type(model), constraint.cel, kept))
    below = {struct for kind in crd.custom_kinds() for struct in structs_below(kind)}
    said = {(struct, one.cel) for struct, table in CONSTRAINTS.items() for one in table if one.cel and struct in below}
    assert said == {(struct, cel) for struct, cel, kept in found if kept}
    assert said == {(struct, cel) for struct, cel, kept in found if not kept}
