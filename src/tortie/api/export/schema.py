"""Structs as schemas, in the three dialects of JSON Schema that tools read.

A schema takes everything that validation takes, and refuses as much of the rest as a schema can say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tortie.api.constraints import CONSTRAINTS
from tortie.api.formats import Format
from tortie.api.reference.describe import (
    FieldDescription,
    Free,
    Listing,
    Mapping,
    Part,
    Scalar,
    Struct,
    Value,
    describe,
)
from tortie.api.shapes import Between, OneOf, Pattern, Shape

Schema = dict[str, Any]

LARGEST = 2**63 - 1
"""The largest number that is stored; as a limit it goes without saying."""


_FOR_EVERY_TYPE = frozenset({"type", "format", "enum"})


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of schema can say.

    Args:
        parts: where objects inside objects are defined, by name; empty: they stand in place.
        nulls: whether null stands for absence, as it does in files that people write.
        closed: whether unknown fields are refused.
        kubernetes: whether this is a structural schema of Kubernetes, with its own words for what the others lack.
        defaults: whether to say what is filled in.
        expressions: whether an object stands where its expressions can be evaluated: an API server counts the
            cost of the worst case, and refuses what stands in a list without an end.
    """

    parts: str = ""
    nulls: bool = False
    closed: bool = False
    kubernetes: bool = False
    defaults: bool = True
    expressions: bool = False


JSON_SCHEMA = Dialect(parts="#/$defs/", nulls=True, closed=True)
OPENAPI = Dialect(parts="#/components/schemas/")
STRUCTURAL = Dialect(kubernetes=True, expressions=True)


def object_schema(struct: Struct, dialect: Dialect) -> Schema:
    """A struct as the schema of an object."""
    fields = describe(struct)
    schema: Schema = {"type": "object", "properties": {field.name: field_schema(field, dialect) for field in fields}}
    required = [field.name for field in fields if field.required]
    if required:
        schema["required"] = required
    if dialect.closed:
        schema["additionalProperties"] = False
    if dialect.expressions:
        schema |= _expressions(struct)
    return schema


def field_schema(field: FieldDescription, dialect: Dialect) -> Schema:
    """A field with its meaning, its default and what it may hold."""
    schema = value_schema(field.value, dialect)
    if "$ref" in schema and not dialect.closed:
        schema = {"allOf": [schema]}  # OpenAPI 3.0 reads nothing beside a reference
    if dialect.nulls and not field.required:
        schema = _or_null(schema)
    elif field.stored_null and not dialect.nulls:
        schema["nullable"] = True
    described = {"description": field.meaning + (f" Without it: {field.when_absent}." if field.when_absent else "")}
    if dialect.defaults and field.default is not None:
        described["default"] = _plain(field.default)
    return described | schema


def value_schema(value: Value, dialect: Dialect) -> Schema:
    """What a field, an item of a list or a value of a map may hold."""
    match value:
        case Part(struct):
            return {"$ref": f"{dialect.parts}{struct.__name__}"} if dialect.parts else object_schema(struct, dialect)
        case Listing():
            return _listing(value, dialect)
        case Mapping():
            schema = {"type": "object", "additionalProperties": value_schema(value.value, dialect)}
            if value.keys is not None and dialect.closed:
                schema["propertyNames"] = _text_limits(value.keys.shapes)
            return schema
        case Free():
            return {"x-kubernetes-preserve-unknown-fields": True} if dialect.kubernetes else {}
        case Scalar():
            return _scalar(value, dialect)


def text_schema(format: Format) -> Schema:
    """A text of a format."""
    return {"type": "string"} | _text_limits(format.shapes)


def _listing(value: Listing, dialect: Dialect) -> Schema:
    most = _most(value)
    if most is None:
        dialect = msgspec.structs.replace(dialect, expressions=False)
    schema: Schema = {"type": "array", "items": value_schema(value.item, dialect)}
    if value.least:
        schema["minItems"] = value.least
    if most is not None:
        schema["maxItems"] = most
    if value.unique and dialect.kubernetes:
        schema["x-kubernetes-list-type"] = "set"
    elif value.unique:
        schema["uniqueItems"] = True
    return schema


def _most(value: Listing) -> int | None:
    """How many items a list may have: as many as there are values, when none may come twice."""
    if value.most is None and value.unique and isinstance(value.item, Scalar) and value.item.format:
        match value.item.format.shapes:
            case (OneOf(values),):
                return len(values)
    return value.most


def _scalar(value: Scalar, dialect: Dialect) -> Schema:
    branches = [_typed(type, value, dialect) for type in value.types]
    if len(branches) == 1:
        return branches[0]
    if not dialect.kubernetes:
        return {"anyOf": branches}
    # Limits stand side by side, each for values of its own type; a list of values would be for both.
    limits = {word: limit for branch in branches for word, limit in branch.items() if word not in _FOR_EVERY_TYPE}
    types = [{"type": type} for type in value.types]
    return {"x-kubernetes-int-or-string": True, "anyOf": types} | limits


def _typed(type: str, value: Scalar, dialect: Dialect) -> Schema:
    """A scalar, as far as it is of one type."""
    shapes = value.format.shapes if value.format else ()
    match type:
        case "string":
            limits = _text_limits(shapes, may_be_empty=value.empty == "")
            if value.most is not None:
                limits["maxLength"] = value.most
            if not shapes and not value.may_be_empty:
                limits["minLength"] = 1
            return {"type": type} | limits
        case "integer":
            width = {} if dialect.closed else {"format": "int64"}
            return {"type": type} | width | _number_limits(shapes, may_be_zero=value.empty == 0)
    return {"type": type}


def _number_limits(shapes: Sequence[Shape], may_be_zero: bool = False) -> Schema:
    for shape in shapes:
        if isinstance(shape, Between):
            low = min(shape.low, 0) if may_be_zero else shape.low
            return {"minimum": low} | ({"maximum": shape.high} if shape.high < LARGEST else {})
        if isinstance(shape, OneOf) and isinstance(shape.values[0], int):
            return {"enum": [*shape.values, *([0] if may_be_zero else [])]}
    return {}


def _text_limits(shapes: Sequence[Shape], may_be_empty: bool = False) -> Schema:
    texts = [shape for shape in shapes if isinstance(shape, Pattern) or _names_texts(shape)]
    match texts:
        case []:
            return {}
        case [OneOf(values, any_case=False)]:
            return {"enum": [*values, *([""] if may_be_empty else [])]}
    parts = [_expression(shape) for shape in texts] + ([""] if may_be_empty else [])
    schema: Schema = {"pattern": f"^(?:{'|'.join(parts)})$"}
    if isinstance(texts[0], Pattern) and len(texts) == 1 and texts[0].limit is not None:
        schema["maxLength"] = texts[0].limit
    return schema


def _names_texts(shape: Shape) -> bool:
    return isinstance(shape, OneOf) and isinstance(shape.values[0], str)


def _expression(shape: Shape) -> str:
    if isinstance(shape, Pattern):
        return shape.expression
    assert isinstance(shape, OneOf)
    return "|".join(_in_any_case(str(text)) if shape.any_case else re.escape(str(text)) for text in shape.values)


def _in_any_case(text: str) -> str:
    return "".join(f"[{one.upper()}{one.lower()}]" if one.isalpha() else re.escape(one) for one in text)


def _plain(value: Any) -> Any:
    """A number without a fraction as such."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _or_null(schema: Schema) -> Schema:
    """A schema that takes null too."""
    if "enum" in schema:
        schema = schema | {"enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}


def _expressions(struct: Struct) -> Schema:
    """Constraints that have a CEL form, as the API server of Kubernetes evaluates them."""
    rules = [
        {"rule": one.cel, "message": f"{one.path} {one.problem}".strip()}
        for one in CONSTRAINTS.get(struct, ())
        if one.cel
    ]
    return {"x-kubernetes-validations": rules} if rules else {}
