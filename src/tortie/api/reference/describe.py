"""Every struct of the API as data: its fields with their types, limits, defaults and meanings.

Limits are those of the tables that validation walks (`tortie.api.fields`), defaults those that are
filled in (`tortie.api.defaults`), types those of the structs: nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tortie.api.defaults import CONTROLLER_DEFAULTS, FELIX_DEFAULTS, HOST_ENDPOINT_DEFAULTS, SPEC_DEFAULTS
from tortie.api.felixconfiguration import FelixConfigurationSpec
from tortie.api.field import Field
from tortie.api.fields import FIELDS
from tortie.api.formats import Format
from tortie.api.kubecontrollers import AutoHostEndpoints, Controllers
from tortie.api.reference.words import meaning, when_absent

Struct = type[msgspec.Struct]

JSON_TYPES: dict[type[inspect.Type], str] = {
    inspect.StrType: "string",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
}


class Scalar(msgspec.Struct, frozen=True):
    """A text, number or boolean.

    Args:
        types: JSON's names of the types that it may have.
        format: what the value must look like; none for any.
        empty: a value that says the same as absence and passes whatever the format says, as an empty text does
            where a default is filled in; None when there is none.
        most: the largest number of characters; none for any.
        selector: whether it is a selector.
        may_be_empty: whether an empty text, or zero, passes where there is no format.
    """

    types: tuple[str, ...]
    format: Format | None = None
    empty: Any = None
    most: int | None = None
    selector: bool = False
    may_be_empty: bool = True


class Listing(msgspec.Struct, frozen=True):
    """A list of `least` to `most` items, none twice when `unique`."""

    item: Value
    least: int = 0
    most: int | None = None
    unique: bool = False


class Mapping(msgspec.Struct, frozen=True):
    """A map from texts to values."""

    value: Value
    keys: Format | None = None


class Part(msgspec.Struct, frozen=True):
    """An object with fields of its own."""

    struct: Struct


class Free(msgspec.Struct, frozen=True):
    """Anything at all."""


Value = Scalar | Listing | Mapping | Part | Free


class FieldDescription(msgspec.Struct, frozen=True):
    """One field.

    Args:
        name: as it is written.
        attribute: as the struct calls it.
        value: what it may hold.
        required: whether it must be given.
        default: what is filled in when it is not given; None for nothing.
        when_absent: what stands for it where nothing is filled in, in words; empty for nothing.
        meaning: one sentence.
        stored_null: whether null is stored when nobody gave anything.
    """

    name: str
    attribute: str
    value: Value
    required: bool
    default: Any
    when_absent: str
    meaning: str
    stored_null: bool = False


@cache
def describe(struct: Struct) -> tuple[FieldDescription, ...]:
    """The fields of a struct, in the order in which they are stored."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return tuple(_field(struct, field) for field in info.fields)


def inner_struct(value: Value) -> Struct | None:
    """The struct whose fields are found below a value: its own, its items' or its values'."""
    match value:
        case Part(struct):
            return struct
        case Listing(item):
            return inner_struct(item)
        case Mapping(inner):
            return inner_struct(inner)
    return None


def field_at(struct: Struct, path: Sequence[str]) -> FieldDescription:
    """The field that names lead to, each found in the part before it; lists and maps are looked through.

    Raises:
        KeyError: with the first name that is not a field.
    """
    name, *rest = path
    field = next((field for field in describe(struct) if field.name == name), None)
    if field is None:
        raise KeyError(name)
    if not rest:
        return field
    inner = inner_struct(field.value)
    if inner is None:
        raise KeyError(rest[0])
    return field_at(inner, rest)


def structs_below(struct: Struct) -> list[Struct]:
    """A struct and all those that it is made of, each once, in the order in which they are met."""
    found: dict[Struct, None] = {}
    waiting = [struct]
    while waiting:
        here = waiting.pop(0)
        if here not in found:
            found[here] = None
            inner = (inner_struct(field.value) for field in describe(here))
            waiting.extend(one for one in inner if one is not None)
    return list(found)


@cache
def filled_in() -> dict[Struct, dict[str, Any]]:
    """Values that are stored when nobody gave any, by struct and attribute."""
    specs = {_part(kind, "spec"): values for kind, values in SPEC_DEFAULTS.items()}
    controllers = {_part(Controllers, name): values for name, values in CONTROLLER_DEFAULTS.items()}
    return {**specs, **controllers, AutoHostEndpoints: HOST_ENDPOINT_DEFAULTS}


def _part(struct: Struct, attribute: str) -> Struct:
    """The struct that an attribute holds."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    (node,) = (_without_none(field.type) for field in info.fields if field.name == attribute)
    assert isinstance(node, inspect.StructType)
    return node.cls


def _field(struct: Struct, info: inspect.Field) -> FieldDescription:
    field = FIELDS.get(struct, {}).get(info.name, Field())
    empty = _empty(info)
    given = filled_in().get(struct, {}).get(info.name)
    is_filled = given is not None or (struct is FelixConfigurationSpec and info.name in FELIX_DEFAULTS)
    value = _value(info.type, field, "" if is_filled and empty is None else empty)
    return FieldDescription(
        name=info.encode_name,
        attribute=info.name,
        value=value,
        required=info.required or (field.required and not empty) or _needs_parts(value, empty),
        default=given if given is not None else (empty if _says_something(empty) else None),
        when_absent=when_absent(struct, info.name),
        meaning=meaning(struct, info.name),
        stored_null=info.default_factory is not msgspec.NODEFAULT and empty is None,
    )


def _empty(info: inspect.Field) -> Any:
    if info.default_factory is not msgspec.NODEFAULT:
        return info.default_factory()
    return None if info.default is msgspec.NODEFAULT else info.default


def _says_something(empty: Any) -> bool:
    return isinstance(empty, str | int | float) and bool(empty)


def _needs_parts(value: Value, empty: Any) -> bool:
    """Whether an object that is there even when nobody wrote it lacks something then."""
    return isinstance(value, Part) and empty is not None and any(field.required for field in describe(value.struct))


def _value(node: inspect.Type, field: Field, empty: Any = None) -> Value:
    node = _without_none(node)
    match node:
        case inspect.StructType():
            return Part(node.cls)
        case inspect.VarTupleType():
            item = _value(node.item_type, Field(format=field.format))
            return Listing(item, least=int(field.required), most=field.most, unique=field.unique)
        case inspect.DictType():
            return Mapping(_value(node.value_type, Field(format=field.format)), field.keys)
        case inspect.AnyType():
            return Free()
    return Scalar(
        types=_types(node),
        format=field.format,
        empty=None if field.required and not empty else empty,
        most=field.most if field.selector else None,
        selector=bool(field.selector),
        may_be_empty=not field.required,
    )


def _types(node: inspect.Type) -> tuple[str, ...]:
    parts = node.types if isinstance(node, inspect.UnionType) else (node,)
    return tuple(JSON_TYPES[type(part)] for part in parts)


def _without_none(node: inspect.Type) -> inspect.Type:
    if not isinstance(node, inspect.UnionType):
        return node
    parts = tuple(part for part in node.types if not isinstance(part, inspect.NoneType))
    return parts[0] if len(parts) == 1 else inspect.UnionType(parts)
