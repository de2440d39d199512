"""Fields that another version stored and this one does not know: they stay when their object is written again.

Whoever changes one field of an object must not lose, without a word, what a newer writer says in
another: a rule without the condition that nobody here can read would match more than it should.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tortie.api import codec
from tortie.base.errors import InvalidResource, Problem

_ENVELOPE = ("kind", "apiVersion")


class CarriedOver(msgspec.Struct, frozen=True):
    """Bytes to store, with the unknown fields that still have a place, and the paths of those that have none."""

    data: bytes
    lost: tuple[str, ...] = ()


def carry_over(stored: bytes, known: bytes, wanted: bytes, type: type[msgspec.Struct]) -> CarriedOver:
    """Add to `wanted` what `stored` holds beyond the fields of a type.

    An item of a list is found again by what is known of it, wherever it stands now; a part that was
    taken away or changed leaves no place for the unknown fields that were in it.

    Args:
        stored: the bytes that were read, which the type can decode.
        known: what this version would have stored in their place.
        wanted: what is to be stored.

    Raises:
        InvalidResource: the fields are not only unknown, but cannot be read as anything.
    """
    if stored == known:
        return CarriedOver(wanted)
    carrier = _Carrier()
    merged = carrier.merge(_plain(stored, type), _plain(known, type), _plain(wanted, type), _type_info(type), "")
    return CarriedOver(codec.encode_plain(merged) if carrier.carries else wanted, tuple(carrier.lost))


def _plain(data: bytes, type: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.json.decode(data.decode(errors="replace") or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidResource(
            Problem(type.__name__, "", f"holds a part that cannot be read: {error}", "delete the object first")
        ) from error


@cache
def _type_info(type: Any) -> inspect.Type:
    return inspect.type_info(type)


class _Carrier:
    """One walk over three values of one shape: as stored, as understood here, as wanted."""

    def __init__(self) -> None:
        self.carries = False
        self.lost: list[str] = []

    def merge(self, stored: Any, known: Any, wanted: Any, node: inspect.Type, path: str) -> Any:
        node = _without_none(node)
        if isinstance(node, inspect.StructType) and isinstance(stored, dict):
            return self._struct(stored, known or {}, wanted, node, path)
        if isinstance(node, inspect.VarTupleType) and isinstance(stored, list):
            return self._list(stored, known or [], wanted, node.item_type, path)
        return wanted

    def _struct(self, stored: dict[str, Any], known: Any, wanted: Any, node: inspect.StructType, path: str) -> Any:
        if wanted is None and known:
            self.lost.extend(_unknown(stored, node, path))
            return None
        merged = dict(wanted or {})
        fields = {field.encode_name: field.type for field in node.fields}
        for name, value in stored.items():
            if name in fields:
                inner = self.merge(value, known.get(name), merged.get(name), fields[name], _under(path, name))
                if inner is not None:
                    merged[name] = inner
            elif path or name not in _ENVELOPE:
                merged[name] = value
                self.carries = True
        return merged or wanted

    def _list(self, stored: list[Any], known: list[Any], wanted: Any, item: inspect.Type, path: str) -> Any:
        merged = list(wanted or [])
        free = set(range(len(merged)))
        for index, (value, understood) in enumerate(zip(stored, known, strict=False)):
            here = f"{path}[{index}]"
            place = next((one for one in sorted(free) if wanted[one] == understood), None)
            if place is None:
                self.lost.extend(_unknown(value, item, here))
            else:
                free.remove(place)
                merged[place] = self.merge(value, understood, wanted[place], item, here)
        return merged or wanted


def unknown_in(stored: bytes, type: type[msgspec.Struct]) -> list[str]:
    """Paths of the fields in stored bytes of a resource that this version does not know.

    Raises:
        InvalidResource: they cannot be read as anything.
    """
    plain = _plain(stored, type)
    known = {name: value for name, value in plain.items() if name not in _ENVELOPE}
    return _unknown(known, _type_info(type), "")


def unknown_fields(value: Any, type: type[msgspec.Struct]) -> list[str]:
    """Paths of the fields of plain data that a type, and the types in it, do not have."""
    return _unknown(value, _type_info(type), "")


def _unknown(value: Any, node: inspect.Type, path: str) -> list[str]:
    """Paths of the fields that a type does not have."""
    node = _without_none(node)
    if isinstance(node, inspect.VarTupleType) and isinstance(value, list):
        return [
            found for index, inner in enumerate(value) for found in _unknown(inner, node.item_type, f"{path}[{index}]")
        ]
    if not isinstance(node, inspect.StructType) or not isinstance(value, dict):
        return []
    fields = {field.encode_name: field.type for field in node.fields}
    return [
        found
        for name, inner in value.items()
        for found in (_unknown(inner, fields[name], _under(path, name)) if name in fields else [_under(path, name)])
    ]


def _without_none(node: inspect.Type) -> inspect.Type:
    if not isinstance(node, inspect.UnionType):
        return node
    parts = [part for part in node.types if not isinstance(part, inspect.NoneType)]
    return parts[0] if len(parts) == 1 else node


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
