"""Plain values against the fields of a kind, strictly: unknown and missing fields, wrong types, all at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

Finding = tuple[str, str, str]
"""Path, what is wrong, and what would be right; the remedy `QUOTE` is for a text written without quotes."""

QUOTE = "quote it"

UNKNOWN = "is not a field"
"""What is wrong with a field that a struct does not have."""

_EXPECTED: dict[type[inspect.Type], str] = {
    inspect.StrType: "a text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.StructType: "a map",
    inspect.DictType: "a map",
    inspect.VarTupleType: "a list",
}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class Checked(msgspec.Struct):
    """A value as the codec wants it, empty fields left out, and everything that is wrong with it."""

    value: Any
    findings: list[Finding]


def check(value: Any, type: type[msgspec.Struct]) -> Checked:
    """Compare plain data with a struct type; with no findings, `msgspec.convert` takes the value."""
    findings: list[Finding] = []
    return Checked(_read(value, _type_info(type), "", findings), findings)


def near(name: str, known: Collection[str]) -> str:
    """`did you mean …`, when a known name resembles this one in any case."""
    by_lower_case = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return f"did you mean {by_lower_case[found[0]]}?" if found else ""


@cache
def _type_info(type: Any) -> inspect.Type:
    return inspect.type_info(type)


def _read(value: Any, type: inspect.Type, path: str, findings: list[Finding]) -> Any:
    match type:
        case inspect.AnyType():
            return value
        case inspect.UnionType():
            return _union(value, type, path, findings)
        case inspect.StructType() if isinstance(value, dict):
            return dict(_fields(value, type, path, findings))
        case inspect.DictType() if isinstance(value, dict):
            return dict(_entries(value, type, path, findings))
        case inspect.VarTupleType() if isinstance(value, list):
            return [_read(item, type.item_type, f"{path}[{index}]", findings) for index, item in enumerate(value)]
    problem = _scalar_problem(value, (type,))
    if problem:
        findings.append((path, *problem))
    return value


def _union(value: Any, type: inspect.UnionType, path: str, findings: list[Finding]) -> Any:
    parts = tuple(part for part in type.types if not isinstance(part, inspect.NoneType))
    if len(parts) == 1:
        return _read(value, parts[0], path, findings)
    problem = _scalar_problem(value, parts)
    if problem:
        findings.append((path, *problem))
    return value


def _fields(
    value: dict[str, Any], type: inspect.StructType, path: str, findings: list[Finding]
) -> Iterator[tuple[str, Any]]:
    fields = {field.encode_name: field for field in type.fields}
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        if name not in fields:
            findings.append((here, UNKNOWN, near(name, fields) or f"known are {', '.join(fields)}"))
        elif inner is not None:
            yield name, _read(inner, fields[name].type, here, findings)
    for name, field in fields.items():
        if field.required and value.get(name) is None:
            findings.append((f"{path}.{name}" if path else name, "is required", ""))


def _entries(
    value: dict[str, Any], type: inspect.DictType, path: str, findings: list[Finding]
) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        yield name, _read(inner, type.value_type, f"{path}[{name}]", findings)


def _scalar_problem(value: Any, types: tuple[inspect.Type, ...]) -> tuple[str, str] | None:
    if any(_fits(value, type) for type in types):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number", ""
    if isinstance(value, int) and not isinstance(value, bool) and not _SMALLEST <= value <= _LARGEST:
        return "is too large a number", f"from {_SMALLEST} to {_LARGEST}"
    expected = " or ".join(_EXPECTED[type.__class__] for type in types)
    wants_text = any(isinstance(type, inspect.StrType) for type in types)
    remedy = QUOTE if wants_text and isinstance(value, bool | int | float) else ""
    return f"must be {expected}, not {_named(value)}", remedy


def _fits(value: Any, type: inspect.Type) -> bool:
    match type:
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool) and _SMALLEST <= value <= _LARGEST
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return False


def _named(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "a map"
