"""What a JSONPath template makes of plain data, as kubectl prints it. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tortie.cli.jsonpath_syntax import (
    Descend,
    Everything,
    Filter,
    Item,
    Key,
    Literal,
    Part,
    Path,
    Range,
    Slice,
    Step,
    Text,
    Union,
)

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def render(template: Sequence[Part], data: Any) -> str:
    """The text of a template; several values of a path are separated by blanks, and what is absent is empty."""
    return "".join(_rendered(template, data, data))


def find(path: Path, data: Any) -> list[Any]:
    """The values that a path leads to; none when there is nothing."""
    return _found(path, data, data)


def shown(value: Any) -> str:
    """A value as it is printed: texts bare, structures as JSON, whole numbers without a point."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode()


def _rendered(parts: Sequence[Part], current: Any, root: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Text):
            yield part.text
        elif isinstance(part, Path):
            yield " ".join(map(shown, _found(part, current, root)))
        else:
            yield from _ranged(part, current, root)


def _ranged(part: Range, current: Any, root: Any) -> Iterator[str]:
    """A path to a single list means its items, as well as one that ends in `[*]`."""
    values = _found(part.path, current, root)
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    for value in values:
        yield from _rendered(part.body, value, root)


def _found(path: Path, current: Any, root: Any) -> list[Any]:
    values = [root if path.from_root else current]
    for step in path.steps:
        alternatives = step.steps if isinstance(step, Union) else (step,)
        values = [inner for one in alternatives for value in values for inner in _taken(one, value, root)]
    return values


def _taken(step: Step, value: Any, root: Any) -> Iterator[Any]:
    """What one step makes of one value."""
    match step:
        case Key():
            yield from _field(step, value)
        case Everything():
            yield from _inside(value)
        case Item(index):
            if isinstance(value, list) and -len(value) <= index < len(value):
                yield value[index]
        case Slice(start, stop, stride):
            if isinstance(value, list):
                yield from value[start:stop:stride]
        case Descend():
            yield value
            for inner in _inside(value):
                yield from _taken(step, inner, root)
        case Filter():
            yield from (inner for inner in _inside(value) if _holds(step, inner, root))


def _field(key: Key, value: Any) -> Iterator[Any]:
    if isinstance(value, dict) and key.name in value:
        yield value[key.name]
        return
    for name in key.deeper:
        if not isinstance(value, dict) or name not in value:
            return
        value = value[name]
    if key.deeper:
        yield value


def _inside(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _holds(condition: Filter, item: Any, root: Any) -> bool:
    left = _operand(condition.left, item, root)
    if condition.right is None:
        return bool(left)
    right = _operand(condition.right, item, root)
    if not left or not right:
        return condition.operator == "!=" and bool(left or right)
    return any(_compared(condition.operator, one, other) for one in left for other in right)


def _operand(operand: Path | Literal, item: Any, root: Any) -> list[Any]:
    return [operand.value] if isinstance(operand, Literal) else _found(operand, item, root)


def _compared(name: str, left: Any, right: Any) -> bool:
    """Values of different types are unequal, and in no order."""
    numbers = not isinstance(left, bool) and not isinstance(right, bool)
    if type(left) is type(right) or (numbers and isinstance(left, int | float) and isinstance(right, int | float)):
        comparable = not isinstance(left, dict | list) or name in ("==", "!=")
        return comparable and _COMPARISONS[name](left, right)
    return name == "!="
