"""The JSON Schemas are schemas, and never refuse what validation takes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tortie.api.export.jsonschema import any_schema, kind_schema
from tortie.api.kinds import KINDS
from tortie.api.reference.describe import Free, Listing, Mapping, Part, Scalar, Value, describe
from tortie.api.resource import API_VERSION

SCHEMAS = {kind: Draft202012Validator(kind_schema(struct)) for kind, struct in KINDS.items()}


def refusals(document: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in SCHEMAS[document["kind"]].iter_errors(document)]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_is_a_schema(kind: str) -> None:
    Draft202012Validator.check_schema(kind_schema(KINDS[kind]))


def test_what_validation_takes_the_schema_takes(valid: list[dict[str, Any]], judge: Any) -> None:
    assert len(valid) > 200
    for document in valid:
        assert judge.accepts(document)
        assert refusals(document) == []


def test_the_schema_refuses_much_of_what_validation_refuses(invalid: list[dict[str, Any]]) -> None:
    caught = sum(bool(refusals(document)) for document in invalid)
    assert (caught, len(invalid)) == (108, 238)


TEXTS = ["", "x", "0", "65536", "10.0.0.1", "10.0.0.0/8", "fd00::/64", "Always", "enabled", "Enabled", "5s", "1m30s"]
TEXTS += [
    "all()",
    "a == 'b'",
    "TCP",
    "udp",
    "6",
    "1:2",
    "1.10",
    "64512",
    "65000:1",
    "EF",
    "*",
    "node.a",
    "Auto",
    "None",
]
NUMBERS = [-1, 0, 1, 4, 6, 26, 63, 64, 179, 255, 256, 65535, 65536, 2**32]


def candidates(value: Value) -> st.SearchStrategy[Any]:
    """Values of the right type for a field, some of them valid."""
    match value:
        case Scalar(types):
            made = {"string": TEXTS, "integer": NUMBERS, "number": [0, 1.5, 100, -3], "boolean": [True, False]}
            offered = [one for type in types for one in made[type]]
            shapes = value.format.shapes if value.format else ()
            offered += [one for shape in shapes for one in getattr(shape, "values", ())]
            return st.sampled_from(offered)
        case Listing(item):
            return st.lists(candidates(item), max_size=2)
        case Mapping(inner):
            return st.dictionaries(st.sampled_from(["a", "a/b", "A B", ""]), candidates(inner), max_size=2)
        case Free():
            return st.just({})
    return st.fixed_dictionaries({field.name: candidates(field.value) for field in describe(value.struct)[:2]})


def places(value: Any, struct: type) -> Iterator[tuple[dict[str, Any], type]]:
    """Every object in a document, with its struct."""
    yield value, struct
    for field in describe(struct):
        inner, given = field.value, value.get(field.name)
        if isinstance(inner, Part) and isinstance(given, dict):
            yield from places(given, inner.struct)
        elif isinstance(inner, Listing) and isinstance(inner.item, Part) and isinstance(given, list):
            for one in given:
                yield from places(one, inner.item.struct)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_change_is_taken_by_validation_and_refused_by_the_schema(
    kind: str, valid: list[dict[str, Any]], judge: Any
) -> None:
    documents = [document for document in valid if document["kind"] == kind]

    @settings(max_examples=settings.default.max_examples // 2)
    @given(st.data())
    def changed(data: st.DataObject) -> None:
        document = copy.deepcopy(data.draw(st.sampled_from(documents)))
        value, struct = data.draw(st.sampled_from(list(places(document, KINDS[kind]))[1:] or [(document, KINDS[kind])]))
        field = data.draw(st.sampled_from(describe(struct)))
        value[field.name] = data.draw(candidates(field.value) | st.none())
        if judge.accepts(document):
            assert refusals(document) == []

    changed()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"specs": {}}, "$"),
        ({"kind": "Tear"}, "$.kind"),
        ({"apiVersion": "projectcalico.org/v2"}, "$.apiVersion"),
        ({"metadata": {"name": "Upper"}}, "$.metadata.name"),
        ({"metadata": {}}, "$.metadata"),
        ({"metadata": {"name": "a", "namespace": "b"}}, "$.metadata.namespace"),
        ({"spec": {"order": "1"}}, "$.spec"),
        ({"spec": {"defaultAction": "Allow"}}, "$.spec"),
        ({"spec": {"ordre": 1}}, "$.spec"),
    ],
)
def test_a_mistake_is_refused_at_its_place(change: dict[str, Any], place: str) -> None:
    document = {"apiVersion": API_VERSION, "kind": "Tier", "metadata": {"name": "a"}, "spec": {"order": 1}} | change
    assert [error.json_path for error in SCHEMAS["Tier"].iter_errors(document)] == [place]


def test_kinds_of_kubernetes_may_have_newer_fields(examples: dict[str, dict[str, Any]]) -> None:
    document = copy.deepcopy(examples["Service"])
    document["spec"]["newer"] = 1
    assert refusals(document) == []


@pytest.fixture(scope="module")
def any_document() -> Draft202012Validator:
    """The schema of any document, with those of the kinds beside it."""
    kinds = {f"{kind.lower()}.json": kind_schema(struct) for kind, struct in KINDS.items()}
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource(contents=schema, specification=DRAFT202012)) for name, schema in kinds.items()
    )
    Draft202012Validator.check_schema(any_schema())
    return Draft202012Validator(any_schema(), registry=registry)


def test_any_document_is_judged_by_its_kind(
    any_document: Draft202012Validator, examples: dict[str, dict[str, Any]]
) -> None:
    for document in examples.values():
        assert any_document.is_valid(document)
        assert not any_document.is_valid(document | {"metadata": {"name": 1}})
    assert any_document.is_valid({"apiVersion": "apps/v1", "kind": "Deployment"})
    assert not any_document.is_valid({"apiVersion": API_VERSION, "kind": "Tear"})
    assert not any_document.is_valid({"kind": "Tier"})
