"""Resources as people write them: documents of YAML or JSON files, loaded strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource, ResourceKey
from tortie.api.strict import QUOTE, UNKNOWN, Checked, Finding, check, near
from tortie.api.text import Place, Value, scan_values
from tortie.base.errors import InvalidResource, Problem

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation with all of an object as it was applied elsewhere, even the parts that are not kept."""

_STEP = re.compile(r"\[([^\]]*)\]|([^.\[]+)")
_INDEX = re.compile(r"[0-9]{1,9}")


class Document(msgspec.Struct, frozen=True):
    """One object of a file, not yet looked into.

    Args:
        api_version, kind: as written.
        mapping: the whole object as plain dictionaries, lists and scalars; not to be changed.
        file: where it comes from; empty when unknown.
        place: where it stands there, and each of its parts.
        scope: the namespace it is in if its kind has one and it names none.
    """

    api_version: str
    kind: str
    mapping: dict[str, Any]
    file: str
    place: Place
    scope: str = ""

    @property
    def name(self) -> str:
        """Kind, namespace and name, as far as they are known."""
        metadata = self.mapping.get("metadata")
        given = metadata if isinstance(metadata, dict) else {}
        scope = self.scope if self.kind in KINDS and KINDS[self.kind].namespaced else ""
        return str(ResourceKey(self.kind, str(given.get("namespace") or scope), str(given.get("name") or "")))

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
    """The objects of a YAML or JSON text, in order; the items of a list, or list object, stand for themselves.

    Raises:
        InvalidResource: not YAML, or an object without `apiVersion` or `kind`; lists every problem.
    """
    documents, problems = scan_documents(text, file)
    if problems:
        raise InvalidResource(*problems)
    return documents


def scan_documents(text: str, file: str = "") -> tuple[list[Document], list[Problem]]:
    """The objects that can be read, and what is wrong with the rest, so that one does not hide the other."""
    values, problems = scan_values(text, file)
    documents: list[Document] = []
    for value in values:
        for found in _listed(value, file):
            if isinstance(found, Document):
                documents.append(found)
            else:
                problems.append(found)
    return documents, problems


def load_resource(document: Document) -> Resource:
    """The resource that a document describes; nothing is filled in and no value is judged yet.

    A field that a kind of Kubernetes does not have is no problem, as it may be newer than this reader; and what
    Kubernetes notes down of who wrote such an object, and what, is left out.

    Raises:
        InvalidResource: unknown kind or version, unknown or missing fields, wrong types; lists every problem.
    """
    kind = KINDS.get(document.kind)
    version = kind.api_version if kind else API_VERSION
    if document.api_version != version:
        raise InvalidResource(document.problem("apiVersion", f"is {document.api_version!r}", f"use {version}"))
    if kind is None:
        remedy = near(document.kind, KINDS) or f"known are {', '.join(KINDS)}"
        raise InvalidResource(document.problem("kind", f"{document.kind!r} is not a kind of resource", remedy))
    checked = _checked(document, kind)
    wrong = [finding for finding in checked.findings if not _may_be_newer(finding, kind)]
    if wrong:
        raise InvalidResource(*(_placed(document, *finding) for finding in wrong))
    loaded: Resource = msgspec.convert(checked.value, kind)
    return loaded if version == API_VERSION else _without_books(loaded)


def rest_of(document: Document) -> Resource | None:
    """What remains of a document without its faulty fields, so that more can be found; None when that is nothing."""
    kind = KINDS.get(document.kind)
    if kind is None or document.api_version != kind.api_version:
        return None
    checked = _checked(document, kind)
    for path, _, _ in checked.findings:
        _drop(checked.value, path)
    try:
        return msgspec.convert(checked.value, kind)
    except msgspec.ValidationError:
        return None


def _drop(value: Any, path: str) -> None:
    """Take a field out of plain data; an item of a list stays, since others would take its place."""
    *way, last = [match[1] if match[1] is not None else match[2] for match in _STEP.finditer(path)]
    for step in way:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
    if isinstance(value, dict):
        value.pop(last, None)


def is_resource(document: Document) -> bool:
    """Whether a document is of a kind and version that a datastore holds as it is."""
    kind = KINDS.get(document.kind)
    return kind is not None and document.api_version == kind.api_version


def left_out(document: Document) -> list[Problem]:
    """Fields that loading leaves out because they are not known; none for a kind of which most is left out."""
    kind = KINDS[document.kind]
    if kind.partial:
        return []
    found = [finding for finding in _checked(document, kind).findings if _may_be_newer(finding, kind)]
    return [document.problem(path, "is not known here, and left out", remedy) for path, _, remedy in found]


def _checked(document: Document, kind: type[Resource]) -> Checked:
    return check({name: value for name, value in document.mapping.items() if name not in ("apiVersion", "kind")}, kind)


def _may_be_newer(finding: Finding, kind: type[Resource]) -> bool:
    return finding[1] == UNKNOWN and kind.api_version != API_VERSION


def _without_books(resource: Resource) -> Resource:
    """Without what Kubernetes notes down of who wrote what, which is larger than all that is kept of an object."""
    metadata = resource.metadata
    annotations = {name: value for name, value in metadata.annotations.items() if name != LAST_APPLIED}
    kept = msgspec.structs.replace(metadata, annotations=annotations, managed_fields=())
    return msgspec.structs.replace(resource, metadata=kept)


def _placed(document: Document, path: str, problem: str, remedy: str) -> Problem:
    if remedy == QUOTE:
        remedy = f'{QUOTE}: "{document.written(path)}"'
    return document.problem(path, problem, remedy)


def _listed(value: Value, file: str) -> Iterator[Document | Problem]:
    """What a document holds: an object, or several in a list."""
    if not isinstance(value.plain, list):
        yield from _documents(value, file)
        return
    for index, item in enumerate(value.plain):
        yield from _documents(Value(item, value.place.parts[index]), file)


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
