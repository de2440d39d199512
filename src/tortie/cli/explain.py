"""What `tortie explain` says of a kind or of one of its fields."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from tortie.api.kinds import find_kind
from tortie.api.reference.describe import FieldDescription, Struct, describe, inner_struct
from tortie.api.reference.meanings.kinds import ABOUT
from tortie.api.reference.text import default_text, limits_text, type_text, values_text
from tortie.api.reference.words import refusals, requirements
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.reservations import FIELDS, STORED_ONLY

_INDEX = re.compile(r"\[[^\]]*\]")
_WIDTH = 96
_FEW = 20


def explain_text(kind: str, path: str = "", recursive: bool = False) -> str:
    """A kind, or the field of it that a path leads to, in words.

    Args:
        kind: name, plural or short name, in any case.
        path: names joined by dots, such as `spec.ingress.source`; indexes in brackets are overlooked.
        recursive: names and types of all fields below, instead of the meanings of the next ones.

    Raises:
        InvalidResource: no such kind or field; the remedy lists near names.
    """
    resource = find_kind(kind)
    names = [name for name in _INDEX.sub("", path).split(".") if name]
    field = _find(resource, names) if names else None
    struct = inner_struct(field.value) if field else resource
    lines = [*_heading(resource), *(_field(field) if field else [])]
    lines += ["", "DESCRIPTION:", *_paragraph(field.meaning if field else ABOUT[resource.kind])]
    lines += _reservation(resource.kind, names)
    if struct is not None:
        lines += [*_between_fields(struct), "", "FIELDS:"]
        lines += _tree(struct, "  ") if recursive else _fields(struct)
    return "\n".join(lines) + "\n"


def _heading(resource: type[Resource]) -> Iterator[str]:
    group, _, version = resource.api_version.rpartition("/")
    if group:
        yield f"GROUP:      {group}"
    yield f"KIND:       {resource.kind}"
    yield f"VERSION:    {version}"
    yield f"NAMES:      {', '.join((resource.plural, *resource.aliases))}"
    yield f"SCOPE:      {'Namespaced' if resource.namespaced else 'Cluster'}"


def _field(field: FieldDescription) -> Iterator[str]:
    yield ""
    yield f"FIELD: {field.name} <{type_text(field.value)}>{_required(field)}"
    values, default = values_text(field.value), default_text(field)
    if values:
        yield from ("", "ENUM:", *(f"    {value}" for value in values))
    limits = limits_text(field.value)
    if limits and limits != f"one of {', '.join(values)}":
        yield from ("", "ALLOWED:", *_paragraph(limits))
    if default:
        yield from ("", "DEFAULT:", *_paragraph(default))


def _reservation(kind: str, names: Sequence[str]) -> Iterator[str]:
    if kind in STORED_ONLY:
        yield from ("", "NOT CARRIED OUT YET:", *_paragraph("This release stores this kind, but does not act on it."))
    elif names[:1] == ["spec"] and len(names) > 1 and names[1] in FIELDS.get(kind, {}):
        yield from ("", "NOT CARRIED OUT YET:", *_paragraph("This release stores this field, but does not act on it."))


def _between_fields(struct: Struct) -> Iterator[str]:
    told = refusals(struct)
    if told:
        yield from ("", "REFUSED, IN THESE WORDS:", *_items(told))
    required = requirements(struct)
    if required:
        yield from ("", "BETWEEN FIELDS:", *_items(required))


def _items(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(sentence, _WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _fields(struct: Struct) -> Iterator[str]:
    for index, field in enumerate(describe(struct)):
        if index:
            yield ""
        yield f"  {field.name} <{type_text(field.value)}>{_required(field)}"
        values, default = values_text(field.value), default_text(field)
        if values:
            yield f"    enum: {', '.join(values)}"
        if default:
            yield f"    default: {default}"
        yield from _paragraph(field.meaning)


def _tree(struct: Struct, indent: str) -> Iterator[str]:
    for field in describe(struct):
        yield f"{indent}{field.name} <{type_text(field.value)}>{_required(field)}"
        inner = inner_struct(field.value)
        if inner is not None:
            yield from _tree(inner, indent + "  ")


def _required(field: FieldDescription) -> str:
    return " -required-" if field.required else ""


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _find(resource: type[Resource], names: Sequence[str]) -> FieldDescription:
    struct: Struct | None = resource
    for position, name in enumerate(names):
        fields = {field.name: field for field in describe(struct)} if struct is not None else {}
        if name not in fields:
            raise _unknown(resource, names, position, tuple(fields))
        found = fields[name]
        struct = inner_struct(found.value)
    return found


def _unknown(resource: type[Resource], names: Sequence[str], position: int, known: tuple[str, ...]) -> InvalidResource:
    path = ".".join(names[: position + 1])
    near = _elsewhere(resource, names[position]) or [
        ".".join((*names[:position], one)) for one in _alike(names[position], known)
    ]
    if near:
        return InvalidResource(Problem(resource.kind, path, "is not a field", f"try {', '.join(near)}"))
    above = ".".join(names[:position])
    if not known:
        return InvalidResource(Problem(resource.kind, path, "is not a field", f"{above} has no fields"))
    some = ", ".join(known[:_FEW]) + (f" and {len(known) - _FEW} more" if len(known) > _FEW else "")
    return InvalidResource(Problem(resource.kind, path, "is not a field", f"known are {some}"))


def _alike(name: str, known: Sequence[str]) -> list[str]:
    by_lower_case = {one.lower(): one for one in known}
    return [by_lower_case[one] for one in get_close_matches(name.lower(), by_lower_case, n=3, cutoff=0.6)]


def _elsewhere(resource: type[Resource], name: str) -> list[str]:
    """Paths of fields that are called exactly so, in any case, wherever they are; the shortest first."""
    found = [path for path in _paths(resource, "") if path.rpartition(".")[2].lower() == name.lower()]
    return sorted(found, key=lambda path: path.count("."))[:3]


def _paths(struct: Struct, before: str) -> Iterator[str]:
    for field in describe(struct):
        yield before + field.name
        inner = inner_struct(field.value)
        if inner is not None:
            yield from _paths(inner, f"{before}{field.name}.")
