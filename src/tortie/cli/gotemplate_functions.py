"""What Go templates do with values: fields, truth, printing, and the functions that may be called. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

_GO_NAMES = {"objectmeta": "metadata"}
"""Fields of Go structs that have another name in the data."""

_DIRECTIVE = re.compile(r"%(%|[-+0 ]*\d*(?:\.\d+)?[sdvqtf])")


def field(value: Any, name: str) -> Any:
    """A field by the name that the data has, or by that of the Go struct; None when there is none."""
    if not isinstance(value, dict) or name == "TypeMeta":
        return value if name == "TypeMeta" else None
    if name in value:
        return value[name]
    wanted = _GO_NAMES.get(name.lower(), name.lower())
    for key, inner in value.items():
        if key.lower() == wanted:
            return inner
    # A Go struct has the fields of the metadata in it as its own.
    return field(value["metadata"], name) if name[:1].isupper() and "metadata" in value else None


def is_true(value: Any) -> bool:
    """False for what is absent, empty, zero or false."""
    return bool(value)


def items_of(value: Any) -> list[tuple[Any, Any]]:
    """What range walks: index and item of a list, key and value of a mapping in the order of keys.

    One object, or list object, stands for the Go slice with nothing else in it that calicoctl gives a template.
    """
    if isinstance(value, dict) and "apiVersion" in value and "kind" in value:
        return [(0, value)]
    if isinstance(value, dict):
        return sorted(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def shown(value: Any) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{shown(inner)}' for key, inner in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(shown, value))}]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list):
            value = value[key]
        else:
            raise TypeError(f"{shown(value)} has no items")
    return value


def _length(value: Any) -> int:
    return len(value) if value is not None else 0


def _joined(values: Sequence[Any] | None, separator: str = ",") -> str:
    return separator.join(map(shown, values or ()))


def _formatted(form: str, *values: Any) -> str:
    rest = list(values)

    def one(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        value = rest.pop(0)
        kind, flags = found[1][-1], found[1][:-1]
        if kind in "df" and isinstance(value, int | float):
            return f"%{flags}{kind}" % value
        text = shown(value)
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"%{flags}s" % (quoted if kind == "q" else text)

    return _DIRECTIVE.sub(one, form)


def _printed(*values: Any) -> str:
    """Blanks stand only between values of which none is a text."""
    text = ""
    for before, value in zip((None, *values), values, strict=False):
        blank = before is not None and not isinstance(before, str) and not isinstance(value, str)
        text += f"{' ' if blank else ''}{shown(value)}"
    return text


def _first_false(*values: Any) -> Any:
    return next((value for value in values if not is_true(value)), values[-1])


def _first_true(*values: Any) -> Any:
    return next((value for value in values if is_true(value)), values[-1])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": _length,
    "index": _index,
    "join": _joined,
    "print": _printed,
    "println": lambda *values: " ".join(map(shown, values)) + "\n",
    "printf": _formatted,
    "eq": lambda value, *others: any(value == other for other in others),
    "ne": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "le": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "ge": lambda value, other: value >= other,
    "and": _first_false,
    "or": _first_true,
    "not": lambda value: not is_true(value),
}
"""The functions that a template may call."""
