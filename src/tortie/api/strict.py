"""Plain values against the fields of a kind, strictly: unknown and missing fields, wrong types, all at once."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tortie.api.field import Field
from tortie.api.fields import FIELDS

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
_EMPTY: dict[type[inspect.Type], Any] = {
    inspect.StrType: "",
    inspect.IntType: 0,
    inspect.FloatType: 0.0,
    inspect.BoolType: False,
    inspect.DictType: {},
    inspect.VarTupleType: [],
}
_SPELLINGS: dict[bool, tuple[str, ...]] = {
    value: tuple(spelling for word in words for spelling in (word, word.capitalize(), word.upper()))
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_WRONG = object()
_ANYTHING = Field()


class Blank(msgspec.Struct, frozen=True):
    """A field that is given without a value: where it stands, and the attribute of a struct that it is."""

    path: str
    struct: type
    attribute: str


class Checked(msgspec.Struct):
    """What plain data holds.

    Args:
        value: as the codec wants it, without what is wrong; `msgspec.convert` takes it in any case.
        findings: everything that is wrong.
        doubtful: paths of what is wrong, and of what may have been meant by it.
        blanks: fields without a value.
    """

    value: Any
    findings: list[Finding]
    doubtful: set[str]
    blanks: list[Blank]


def check(value: Any, type: type[msgspec.Struct]) -> Checked:
    """Compare plain data with a struct type.

    A struct may name in `left_out` the fields that its original has and that are not looked at.
    """
    reader, info = _Reader(), _type_info(type)
    found = reader.read(value, info, "", _ANYTHING)
    return Checked(_empty(info) if found is _WRONG else found, reader.findings, reader.doubtful, reader.blanks)


def near(name: str, known: Collection[str]) -> str:
    """`did you mean …`, when a known name resembles this one in any case."""
    found = _nearest(name, known)
    return f"did you mean {found}?" if found else ""


def is_consequence(finding: Finding, doubtful: Collection[str]) -> bool:
    """Whether something is, or may be, wrong only because something else is.

    That is so for what stands at or below a doubtful field, for what is said of its holder as a
    whole, and for sentences about parts of its holder that speak of the field.
    """
    path, problem, remedy = finding
    return any(_follows(path, f"{problem} {remedy}", wrong) for wrong in doubtful)


def _follows(path: str, words: str, wrong: str) -> bool:
    if is_within(path, wrong):
        return True
    holder, _, name = wrong.rpartition(".")
    if path == holder:
        return True
    return is_within(path, holder) and re.search(rf"\b{re.escape(name.partition('[')[0])}\b", words) is not None


def is_within(path: str, place: str) -> bool:
    """Whether a path leads to a place, or to something in it; everything is in the empty place."""
    return not place or path == place or path.startswith((f"{place}.", f"{place}["))


def _nearest(name: str, known: Collection[str]) -> str:
    by_lower_case = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[found[0]] if found else ""


@cache
def _type_info(type: Any) -> inspect.Type:
    return inspect.type_info(type)


class _Reader:
    """One pass over plain data, which finds all that is wrong."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.doubtful: set[str] = set()
        self.blanks: list[Blank] = []

    def read(self, value: Any, type: inspect.Type, path: str, field: Field) -> Any:
        """What can be kept of a value; `_WRONG` for nothing."""
        match type:
            case inspect.AnyType():
                return value
            case inspect.UnionType():
                parts = tuple(part for part in type.types if not isinstance(part, inspect.NoneType))
                return (
                    self.read(value, parts[0], path, field)
                    if len(parts) == 1
                    else self._scalar(value, parts, path, field)
                )
            case inspect.StructType() if isinstance(value, dict):
                return dict(self._fields(value, type, path))
            case inspect.DictType() if isinstance(value, dict):
                return dict(self._entries(value, type, path, field))
            case inspect.VarTupleType() if isinstance(value, list | tuple):
                return [self._item(item, type.item_type, f"{path}[{index}]", field) for index, item in enumerate(value)]
        return self._scalar(value, (type,), path, field)

    def _fields(self, value: dict[str, Any], type: inspect.StructType, path: str) -> Iterator[tuple[str, Any]]:
        fields = {field.encode_name: field for field in type.fields}
        table = FIELDS.get(type.cls, {})
        missing = {name for name, field in fields.items() if field.required}
        for name, inner in value.items():
            here = _under(path, name)
            if name not in fields:
                self._unknown(name, here, type, value)
            elif inner is None:
                self.blanks.append(Blank(here, type.cls, fields[name].name))
            else:
                kept = self.read(inner, fields[name].type, here, table.get(fields[name].name, _ANYTHING))
                if kept is not _WRONG:
                    missing.discard(name)
                    yield name, kept
        for name in fields:
            if name in missing:
                self._required(_under(path, name))
                yield name, _empty(fields[name].type)

    def _unknown(self, name: Any, path: str, type: inspect.StructType, given: dict[str, Any]) -> None:
        left_out: Collection[str] = getattr(type.cls, "left_out", ())
        if name in left_out:
            return
        names = [field.encode_name for field in type.fields]
        meant = _nearest(name, [*names, *left_out]) if isinstance(name, str) else ""
        remedy = "correct its spelling, or leave it out" if left_out else f"known are {', '.join(names)}"
        self._find(path, UNKNOWN, f"did you mean {meant}?" if meant else remedy)
        if meant and meant not in given:
            self.doubtful.add(f"{path.removesuffix(name)}{meant}")

    def _required(self, path: str) -> None:
        if path not in self.doubtful:
            self._find(path, "is required", "")

    def _entries(
        self, value: dict[Any, Any], type: inspect.DictType, path: str, field: Field
    ) -> Iterator[tuple[str, Any]]:
        for name, inner in value.items():
            here = f"{path}[{name}]"
            kept = self.read(inner, type.value_type, here, field)
            if not isinstance(name, str):
                self._find(here, f"has {_named(name)} as its key", f'{QUOTE}: "{name}"')
            elif kept is not _WRONG:
                yield name, kept

    def _item(self, value: Any, type: inspect.Type, path: str, field: Field) -> Any:
        kept = self.read(value, type, path, field)
        return _empty(type) if kept is _WRONG else kept

    def _scalar(self, value: Any, types: tuple[inspect.Type, ...], path: str, field: Field) -> Any:
        problem = _scalar_problem(value, types, field)
        if problem is None:
            return value
        self._find(path, *problem)
        return _WRONG

    def _find(self, path: str, problem: str, remedy: str) -> None:
        self.findings.append((path, problem, remedy))
        self.doubtful.add(path)


def _under(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _empty(type: inspect.Type) -> Any:
    """A value of a type that says as little as can be."""
    match type:
        case inspect.StructType():
            return {field.encode_name: _empty(field.type) for field in type.fields if field.required}
        case inspect.UnionType():
            nothing = any(isinstance(part, inspect.NoneType) for part in type.types)
            return None if nothing else _empty(type.types[0])
    return _EMPTY.get(type.__class__)


def _scalar_problem(value: Any, types: tuple[inspect.Type, ...], field: Field) -> tuple[str, str] | None:
    if any(_fits(value, type) for type in types):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number", ""
    if isinstance(value, int) and not isinstance(value, bool) and not _SMALLEST <= value <= _LARGEST:
        return "is too large a number", f"from {_SMALLEST} to {_LARGEST}"
    expected = " or ".join(_EXPECTED[type.__class__] for type in types)
    wants_text = any(isinstance(type, inspect.StrType) for type in types)
    remedy = _remedy(value, field) if wants_text and isinstance(value, bool | int | float) else ""
    return f"must be {expected}, not {_named(value)}", remedy


def _remedy(value: bool | float, field: Field) -> str:
    """Quotes, when a text spelt like this would do; else what the field may hold."""
    if field.format is None:
        return QUOTE
    spellings = _SPELLINGS[value] if isinstance(value, bool) else (str(value),)
    return QUOTE if any(map(field.format.accepts, spellings)) else field.format.expected


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
