"""Whether a resource makes sense: its name, every field by the table, and fields against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec

from tortie.api import formats
from tortie.api.constraint import Finding
from tortie.api.constraints import findings
from tortie.api.field import Field
from tortie.api.fields import FIELDS
from tortie.api.formats import Format
from tortie.api.resource import Metadata, Resource
from tortie.base.errors import InvalidResource, Problem

SelectorCheck = Callable[[str], str | None]
"""What is wrong with a selector, in words, or None."""

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes that all annotations of an object may take together."""

NAMES = {
    "Tier": formats.TIER_NAME,
    "NetworkPolicy": formats.POLICY_NAME,
    "GlobalNetworkPolicy": formats.GLOBAL_POLICY_NAME,
    "StagedNetworkPolicy": formats.POLICY_NAME,
    "StagedGlobalNetworkPolicy": formats.GLOBAL_POLICY_NAME,
}
"""Formats of names that are narrower than `formats.NAME`, by kind."""


def validate(resource: Resource, check_selector: SelectorCheck) -> None:
    """Refuse a resource that does not make sense; expects defaults to be filled in.

    Raises:
        InvalidResource: with every problem found.
    """
    found = problems(resource, check_selector)
    if found:
        raise InvalidResource(*found)


def problems(resource: Resource, check_selector: SelectorCheck) -> list[Problem]:
    """Everything that is wrong with a resource, in the order of its fields."""
    whose = Whose(resource.kind, NAMES.get(resource.kind, formats.NAME), resource.namespaced)
    found = [*_identity(whose, resource.metadata), *_Walk(check_selector).struct(resource, "")]
    return [Problem(str(resource.key), path, problem, remedy) for path, problem, remedy in found]


def metadata_findings(kind: str, metadata: Metadata, *, namespaced: bool) -> list[Finding]:
    """What is wrong with the metadata of an object of Kubernetes, which may leave its namespace to the reader."""
    named = Whose(kind, formats.NAMESPACE_NAME if kind == "Namespace" else formats.NAME, namespaced)
    found = [*_identity(named, metadata), *_Walk(lambda text: None).struct(metadata, "metadata")]
    return [finding for finding in found if metadata.namespace or finding[0] != "metadata.namespace"]


class Whose(msgspec.Struct, frozen=True):
    """What the name of an object must look like, and whether the object is in a namespace."""

    kind: str
    name: Format
    namespaced: bool


def _identity(whose: Whose, metadata: Metadata) -> Iterator[Finding]:
    name = whose.name
    if not metadata.name:
        yield "metadata.name", "is required", ""
    elif not name.accepts(metadata.name):
        yield "metadata.name", f"{_shown(metadata.name)} is not a name", name.expected
    if whose.namespaced and not metadata.namespace:
        yield "metadata.namespace", "is required", f"{_with_article(whose.kind)} lives in a namespace"
    elif whose.namespaced and not formats.NAME.accepts(metadata.namespace):
        yield "metadata.namespace", f"{_shown(metadata.namespace)} is not a name", formats.NAME.expected
    elif metadata.namespace and not whose.namespaced:
        yield (
            "metadata.namespace",
            "must be empty",
            f"{_with_article(whose.kind)} belongs to the whole cluster",
        )
    if _size(metadata) > ANNOTATIONS_LIMIT:
        yield "metadata.annotations", "are too large", f"{ANNOTATIONS_LIMIT} bytes at most"


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "AEIO" else f"a {noun}"


def _size(metadata: Metadata) -> int:
    return sum(len(text.encode(errors="replace")) for pair in metadata.annotations.items() for text in pair)


@cache
def _attributes(struct: type[msgspec.Struct]) -> tuple[tuple[str, str, Field, Any], ...]:
    """Attribute, stored name, table entry and empty value of each field."""
    table = FIELDS.get(struct, {})
    return tuple(
        (field.name, field.encode_name, table.get(field.name, Field()), _empty(field))
        for field in msgspec.structs.fields(struct)
    )


def _empty(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return "" if field.default is msgspec.NODEFAULT else field.default


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


class _Walk:
    """One pass over a resource."""

    def __init__(self, check_selector: SelectorCheck) -> None:
        self._check_selector = check_selector

    def struct(self, value: msgspec.Struct, path: str) -> Iterator[Finding]:
        for name, stored, field, empty in _attributes(type(value)):
            yield from self._field(getattr(value, name), f"{path}.{stored}" if path else stored, field, empty)
        for inner, problem, remedy in findings(value):
            yield ".".join(filter(None, (path, inner))), problem, remedy

    def _field(self, value: Any, path: str, field: Field, empty: Any) -> Iterator[Finding]:
        if isinstance(value, msgspec.Struct):
            yield from self.struct(value, path)
        elif value == empty or value is None:
            if field.required and not value:
                yield path, "is required", field.format.expected if field.format else ""
        elif isinstance(value, tuple):
            yield from self._items(value, path, field)
        elif isinstance(value, dict):
            yield from _pairs(value, path, field)
        elif field.selector:
            yield from self._selector(value, path, field)
        else:
            yield from _scalar(value, path, field)

    def _items(self, values: tuple[Any, ...], path: str, field: Field) -> Iterator[Finding]:
        if field.most is not None and len(values) > field.most:
            yield path, f"has {len(values)} items", f"{field.most} at most"
        for index, value in enumerate(values):
            here = f"{path}[{index}]"
            if isinstance(value, msgspec.Struct):
                yield from self.struct(value, here)
            elif field.format is not None and not field.format.accepts(value):
                yield here, f"{_shown(value)} is not valid", field.format.expected
            elif field.unique and value in values[:index]:
                yield here, f"{_shown(value)} is given twice", "leave it out"

    def _selector(self, text: str, path: str, field: Field) -> Iterator[Finding]:
        if field.most is not None and len(text) > field.most:
            yield path, f"has {len(text)} characters", f"{field.most} at most"
            return
        if "global(" in text and not _may_be_global(text, field):
            yield path, "cannot use global()", "global() stands alone, in the namespaceSelector of a rule"
            return
        problem = self._check_selector(text)
        if problem is not None:
            yield path, f"{_shown(text)} is not a selector: {problem}", ""


def _may_be_global(text: str, field: Field) -> bool:
    return field.selector == "anywhere" or (field.selector == "alone" and text.strip() == "global()")


def _pairs(values: dict[str, Any], path: str, field: Field) -> Iterator[Finding]:
    for key, value in values.items():
        here = f"{path}[{key}]"
        if field.keys is not None and not field.keys.accepts(key):
            yield here, f"{_shown(key)} is not a valid key", field.keys.expected
        elif field.format is not None and not field.format.accepts(value):
            yield here, f"{_shown(value)} is not a valid value", field.format.expected


def _scalar(value: Any, path: str, field: Field) -> Iterator[Finding]:
    if field.format is not None and not field.format.accepts(value):
        yield path, f"{_shown(value)} is not valid", field.format.expected
