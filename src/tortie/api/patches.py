"""Changing plain data by a merge patch (RFC 7386) or a JSON patch (RFC 6902). Pure: nothing given is changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

from tortie.base.errors import InvalidResource, Problem

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")


def merge_patch(target: Any, patch: Any) -> Any:
    """The target with the patch merged in: maps are merged, null removes, everything else replaces (RFC 7386)."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """The target after each operation in turn; all of them or none (RFC 6902).

    Raises:
        InvalidResource: an operation is malformed, points nowhere, or tests for what is not so.
    """
    if not isinstance(operations, list):
        raise _problem("", "must be a list of operations", 'such as [{"op": "remove", "path": "/spec/order"}]')
    document = deepcopy(target)
    for index, operation in enumerate(operations):
        document = _applied(document, operation, f"[{index}]")
    return document


def _applied(document: Any, operation: Any, place: str) -> Any:
    if not isinstance(operation, dict):
        raise _problem(place, "must be a map", "with op, path, and value or from")
    name = operation.get("op")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise _problem(f"{place}.op", f"{name!r} is no operation", f"one of {', '.join(_OPERATIONS)}")
    needed, work = _OPERATIONS[name]
    for field in ("path", *needed):
        if field not in operation:
            raise _problem(f"{place}.{field}", "is required", f"by {name}")
    return work(document, operation, place)


def _add(document: Any, operation: dict[str, Any], place: str) -> Any:
    return _inserted(document, _steps(operation, "path", place), deepcopy(operation["value"]), f"{place}.path")


def _remove(document: Any, operation: dict[str, Any], place: str) -> Any:
    return _removed(document, _steps(operation, "path", place), f"{place}.path")


def _replace(document: Any, operation: dict[str, Any], place: str) -> Any:
    steps, here = _steps(operation, "path", place), f"{place}.path"
    if not steps:
        return deepcopy(operation["value"])
    parent, step = _find(document, steps[:-1], here), steps[-1]
    parent[_existing(parent, step, steps, here)] = deepcopy(operation["value"])
    return document


def _move(document: Any, operation: dict[str, Any], place: str) -> Any:
    source, steps = _steps(operation, "from", place), _steps(operation, "path", place)
    value = _find(document, source, f"{place}.from")
    if steps == source:
        return document
    if steps[: len(source)] == source:
        raise _problem(f"{place}.path", f"{operation['path']} is within {operation['from']}", "move it elsewhere")
    return _inserted(_removed(document, source, f"{place}.from"), steps, value, f"{place}.path")


def _copy(document: Any, operation: dict[str, Any], place: str) -> Any:
    value = _find(document, _steps(operation, "from", place), f"{place}.from")
    return _inserted(document, _steps(operation, "path", place), deepcopy(value), f"{place}.path")


def _test(document: Any, operation: dict[str, Any], place: str) -> Any:
    found = _find(document, _steps(operation, "path", place), f"{place}.path")
    if not _same(found, operation["value"]):
        raise _problem(f"{place}.value", f"{operation['path']} is {found!r}, not {operation['value']!r}", "")
    return document


_OPERATIONS: dict[str, tuple[tuple[str, ...], Callable[[Any, dict[str, Any], str], Any]]] = {
    "add": (("value",), _add),
    "remove": ((), _remove),
    "replace": (("value",), _replace),
    "move": (("from",), _move),
    "copy": (("from",), _copy),
    "test": (("value",), _test),
}
"""Operation to the fields that it needs besides `path`, and its work."""


def _steps(operation: dict[str, Any], field: str, place: str) -> list[str]:
    """A JSON pointer (RFC 6901) as the names and indices on the way."""
    pointer = operation[field]
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")) or _BAD_ESCAPE.search(pointer):
        raise _problem(f"{place}.{field}", f"{pointer!r} is no JSON pointer", "such as /spec/ingress/0; ~1 is a slash")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _find(document: Any, steps: list[str], place: str) -> Any:
    for step in steps:
        document = document[_existing(document, step, steps, place)]
    return document


def _existing(parent: Any, step: str, steps: list[str], place: str) -> Any:
    """The key or index of something that is there."""
    if isinstance(parent, dict) and step in parent:
        return step
    if isinstance(parent, list) and _INDEX.fullmatch(step) and int(step) < len(parent):
        return int(step)
    raise _problem(place, f"there is no {_pointer(steps)}", "look at the object with get -o yaml")


def _inserted(document: Any, steps: list[str], value: Any, place: str) -> Any:
    if not steps:
        return value
    parent, step = _find(document, steps[:-1], place), steps[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list):
        parent.insert(_position(parent, step, steps, place), value)
    else:
        raise _problem(place, f"{_pointer(steps[:-1])} holds no others", "add to a map or a list")
    return document


def _position(parent: list[Any], step: str, steps: list[str], place: str) -> int:
    if step == "-":
        return len(parent)
    if _INDEX.fullmatch(step) and int(step) <= len(parent):
        return int(step)
    raise _problem(place, f"{_pointer(steps)} is beyond the list", f"0 to {len(parent)}, or - for its end")


def _removed(document: Any, steps: list[str], place: str) -> Any:
    if not steps:
        return None
    parent = _find(document, steps[:-1], place)
    del parent[_existing(parent, steps[-1], steps, place)]
    return document


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON: true is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return cast(bool, one == other)


def _pointer(steps: list[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps) or "the whole"


def _problem(path: str, problem: str, remedy: str) -> InvalidResource:
    return InvalidResource(Problem("patch", path, problem, remedy))
