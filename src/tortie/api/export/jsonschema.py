"""JSON Schema (2020-12): one document for each kind, and one for any document of the API."""

from __future__ import annotations

import msgspec

from tortie.api import formats
from tortie.api.defaults import NAMED_BY_CONTENT
from tortie.api.export.schema import JSON_SCHEMA, Dialect, Schema, field_schema, object_schema, text_schema
from tortie.api.kinds import KINDS
from tortie.api.reference.describe import describe, structs_below
from tortie.api.reference.meanings.kinds import ABOUT
from tortie.api.resource import API_VERSION, Metadata, Resource
from tortie.api.validation import NAMES

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def kind_schema(kind: type[Resource]) -> Schema:
    """The schema of one kind, as people write it: with nulls for absent fields, and without unknown ones.

    Kinds of Kubernetes may have fields that are newer than this reader.
    """
    dialect = msgspec.structs.replace(JSON_SCHEMA, closed=kind.api_version == API_VERSION)
    parts = sorted((part for part in structs_below(kind) if part is not kind), key=lambda part: part.__name__)
    return {
        "$schema": DRAFT,
        "title": kind.kind,
        "description": ABOUT[kind.kind],
        **_document(kind, dialect),
        "$defs": {part.__name__: object_schema(part, dialect) for part in parts},
    }


def any_schema() -> Schema:
    """The schema of whatever document, by its version and kind; what is not of this API passes."""
    ours = [kind.kind for kind in KINDS.values() if kind.api_version == API_VERSION]
    return {
        "$schema": DRAFT,
        "title": "Any document",
        "description": "A document of any kind, by its apiVersion and kind.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}},
        "allOf": [
            {"if": _says({"apiVersion": API_VERSION}), "then": {"properties": {"kind": {"enum": [*ours, "List"]}}}},
            *(
                {
                    "if": _says({"apiVersion": kind.api_version, "kind": kind.kind}),
                    "then": {"$ref": f"{kind.kind.lower()}.json"},
                }
                for kind in KINDS.values()
            ),
        ],
    }


def _says(fields: dict[str, str]) -> Schema:
    return {"required": list(fields), "properties": {name: {"const": value} for name, value in fields.items()}}


def _document(kind: type[Resource], dialect: Dialect) -> Schema:
    fields = describe(kind)
    schema: Schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"const": kind.api_version, "description": "Version of the API."},
            "kind": {"const": kind.kind, "description": "Which kind of object this is."},
            **{field.name: field_schema(field, dialect) for field in fields if field.name != "metadata"},
        },
        "required": [
            "apiVersion",
            "kind",
            "metadata",
            *(field.name for field in fields if field.required and field.name != "metadata"),
        ],
    }
    schema["properties"]["metadata"] = _metadata(kind, dialect)
    if dialect.closed:
        schema["additionalProperties"] = False
    return schema


def _metadata(kind: type[Resource], dialect: Dialect) -> Schema:
    """Metadata with a name, and with a namespace only where there are namespaces."""
    name = text_schema(NAMES.get(kind.kind, formats.NAME))
    namespace: Schema = {"maxLength": 253} if kind.namespaced else {"maxLength": 0}
    (description,) = (field.meaning for field in describe(kind) if field.name == "metadata")
    may_lack_name = kind in NAMED_BY_CONTENT
    return {
        "description": description,
        "$ref": f"{dialect.parts}{Metadata.__name__}",
        "required": [] if may_lack_name else ["name"],
        "properties": {"name": _or_empty(name) if may_lack_name else name, "namespace": namespace},
    }


def _or_empty(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"enum": ["", None]}]}
