"""Types and limits of fields in words, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tortie.api.formats import Format
from tortie.api.reference.describe import FieldDescription, Free, Listing, Mapping, Part, Scalar, Value
from tortie.api.shapes import OneOf


def type_text(value: Value) -> str:
    """The type as kubectl writes it, such as `[]string` or `map[string]string`; objects by their name."""
    match value:
        case Part(struct):
            return struct.__name__
        case Listing(item):
            return f"[]{type_text(item)}"
        case Mapping(inner):
            return f"map[string]{type_text(inner)}"
        case Free():
            return "anything"
        case Scalar():
            return " or ".join(value.types)


def limits_text(value: Value) -> str:
    """What the value must look like, in words; empty when every value of its type will do."""
    return "; ".join(_limits(value))


def values_text(value: Value) -> tuple[str, ...]:
    """The values that a field, or each item of a list, may have, when there are a few; empty otherwise."""
    match value:
        case Listing(item):
            return values_text(item)
        case Scalar(format=Format(shapes=(OneOf(values),))):
            return tuple(map(str, values))
    return ()


def default_text(field: FieldDescription) -> str:
    """What a field holds when nobody gave anything; empty for nothing."""
    return field.when_absent if field.default is None else plain_text(field.default)


def plain_text(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _limits(value: Value) -> Iterator[str]:
    match value:
        case Listing():
            yield from (f"each {limit}" for limit in _limits(value.item))
            if value.least:
                yield f"{value.least} at least"
            if value.most is not None:
                yield f"{value.most} at most"
            if value.unique:
                yield "none twice"
        case Mapping():
            if value.keys is not None:
                yield f"keys: {value.keys.expected}"
            yield from (f"values: {limit}" for limit in _limits(value.value))
        case Scalar():
            yield from _scalar_limits(value)


def _scalar_limits(value: Scalar) -> Iterator[str]:
    if value.selector:
        yield "a selector"
    if value.format is not None:
        in_any_case = any(isinstance(shape, OneOf) and shape.any_case for shape in value.format.shapes)
        yield value.format.expected + (", in any case" if in_any_case else "")
    if value.most is not None:
        yield f"{value.most} characters at most"
