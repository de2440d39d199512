"""All kinds as the schemas of one OpenAPI 3.0 document."""

from __future__ import annotations

from tortie.api.export.schema import OPENAPI, Schema, field_schema, object_schema
from tortie.api.kinds import KINDS
from tortie.api.reference.describe import Struct, describe, structs_below
from tortie.api.reference.meanings.kinds import ABOUT
from tortie.api.resource import Resource

_KINDS = "x-kubernetes-group-version-kind"


def document() -> Schema:
    """The document; it has schemas only, as what serves the API decides on paths."""
    structs: dict[str, Struct] = {part.__name__: part for kind in KINDS.values() for part in structs_below(kind)}
    schemas = {name: _schema(struct) for name, struct in sorted(structs.items())}
    return {
        "openapi": "3.0.3",
        "info": {"title": "projectcalico.org/v3", "version": "v3", "license": {"name": "Apache-2.0"}},
        "paths": {},
        "components": {"schemas": schemas},
    }


def _schema(struct: Struct) -> Schema:
    return _kind(struct) if issubclass(struct, Resource) else object_schema(struct, OPENAPI)


def _kind(kind: type[Resource]) -> Schema:
    group, _, version = kind.api_version.rpartition("/")
    fields = describe(kind)
    return {
        "description": ABOUT[kind.kind],
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string", "enum": [kind.api_version], "description": "Version of the API."},
            "kind": {"type": "string", "enum": [kind.kind], "description": "Which kind of object this is."},
            **{field.name: field_schema(field, OPENAPI) for field in fields},
        },
        "required": ["apiVersion", "kind", "metadata", *(field.name for field in fields if field.required)],
        _KINDS: [{"group": group, "version": version, "kind": kind.kind}],
    }
