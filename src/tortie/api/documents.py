"""Resources as people write them: documents of YAML or JSON files, loaded strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource, ResourceKey
from tortie.api.strict import QUOTE, check, near
from tortie.api.text import Place, Value, read_values
from tortie.base.errors import InvalidResource, Problem

_STEP = re.compile(r"\[([^\]]*)\]|([^.\[]+)")
_INDEX = re.compile(r"[0-9]{1,9}")


class Document(msgspec.Struct, frozen=True):
    """One object of a file, not yet looked into.

    Args:
        api_version, kind: as written.
        mapping: the whole object as plain dictionaries, lists and scalars; not to be changed.
        file: where it comes from; empty when unknown.
        place: where it stands there, and each of its parts.
    """

    api_version: str
    kind: str
    mapping: dict[str, Any]
    file: str
    place: Place

    @property
    def name(self) -> str:
        """Kind, namespace and name, as far as they are given."""
        metadata = self.mapping.get("metadata")
        given = metadata if isinstance(metadata, dict) else {}
        return str(ResourceKey(self.kind, str(given.get("namespace") or ""), str(given.get("name") or ""))).strip()

    def position(self, path: str) -> tuple[int, int]:
        """Line and column of a field such as `spec.ingress[0].source.nets`, or of what would hold it."""
        place = self._find(path)
        return place.line, place.column

    def written(self, path: str) -> str:
        """How a number, boolean or null is spelt in the file."""
        return self._find(path).written

    def problem(self, path: str, problem: str, remedy: str = "") -> Problem:
        """A problem of this object with its place."""
        line, column = self.position(path)
        return Problem(self.name, path, problem, remedy, self.file, line, column)

    def _find(self, path: str) -> Place:
        place = self.place
        for match in _STEP.finditer(path):
            step = match[1] if match[1] is not None else match[2]
            inner = place.parts.get(step) or place.parts.get(int(step) if _INDEX.fullmatch(step) else step)
            if inner is None:
                return place
            place = inner
        return place


def read_documents(text: str, file: str = "") -> list[Document]:
    """The objects of a YAML or JSON text, in order; the items of a list object stand for themselves.

    Raises:
        InvalidResource: not YAML, or an object without `apiVersion` or `kind`; lists every problem.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for value in read_values(text, file):
        for found in _documents(value, file):
            if isinstance(found, Document):
                documents.append(found)
            else:
                problems.append(found)
    if problems:
        raise InvalidResource(*problems)
    return documents


def load_resource(document: Document) -> Resource:
    """The resource that a document describes; nothing is filled in and no value is judged yet.

    Raises:
        InvalidResource: unknown kind or version, unknown or missing fields, wrong types; lists every problem.
    """
    if document.api_version != API_VERSION:
        raise InvalidResource(document.problem("apiVersion", f"is {document.api_version!r}", f"use {API_VERSION}"))
    if document.kind not in KINDS:
        remedy = near(document.kind, KINDS) or f"known are {', '.join(KINDS)}"
        raise InvalidResource(document.problem("kind", f"{document.kind!r} is not a kind of resource", remedy))
    fields = {name: value for name, value in document.mapping.items() if name not in ("apiVersion", "kind")}
    checked = check(fields, KINDS[document.kind])
    if checked.findings:
        raise InvalidResource(*(_placed(document, *finding) for finding in checked.findings))
    return msgspec.convert(checked.value, KINDS[document.kind])


def _placed(document: Document, path: str, problem: str, remedy: str) -> Problem:
    if remedy == QUOTE:
        remedy = f'{QUOTE}: "{document.written(path)}"'
    return document.problem(path, problem, remedy)


def _documents(value: Value, file: str) -> Iterator[Document | Problem]:
    place = value.place
    if not isinstance(value.plain, dict):
        yield Problem("document", "", "is not an object", "", file, place.line, place.column)
        return
    api_version, kind = value.plain.get("apiVersion"), value.plain.get("kind")
    items = value.plain.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        for index, item in enumerate(items):
            yield from _documents(Value(item, place.parts["items"].parts[index]), file)
    elif isinstance(api_version, str) and isinstance(kind, str) and api_version and kind:
        yield Document(api_version, kind, value.plain, file, place)
    else:
        field = "apiVersion" if isinstance(kind, str) and kind else "kind"
        yield Problem("document", field, "is required", "", file, place.line, place.column)
