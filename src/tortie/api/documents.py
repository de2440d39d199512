"""Resources as people write them: documents of YAML or JSON files, loaded strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tortie.api.blanks import told_blanks
from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource, ResourceKey
from tortie.api.strict import QUOTE, check, near
from tortie.api.text import Place, Value, scan_values
from tortie.base.errors import InvalidResource, Problem

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation with all of an object as it was applied elsewhere, even the parts that are not kept."""

_NAMESPACED = frozenset({"ServiceAccount"})
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[]+)")
_INDEX = re.compile(r"[0-9]{1,9}")


class Document(msgspec.Struct, frozen=True):
    """One object of a file, not yet looked into.

    Args:
        api_version, kind: as written.
        mapping: the whole object as plain dictionaries, lists and scalars; not to be changed.
        file: where it comes from; empty when unknown.
        place: where it stands there, and each of its parts; what of it cannot be read has been told.
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
        namespaced = self.kind in _NAMESPACED or (self.kind in KINDS and KINDS[self.kind].namespaced)
        scope = self.scope if namespaced else ""
        return str(ResourceKey(self.kind, str(given.get("namespace") or scope), str(given.get("name") or "")))

    def position(self, path: str) -> tuple[int, int]:
        """Line and column of a field such as `spec.ingress[0].source.nets`, or of what would hold it."""
        place = self._find(path)
        return place.line, place.column

    def written(self, path: str) -> str:
        """How a number, boolean or null is spelt in the file."""
        return self._find(path).written

    def problem(self, path: str, problem: str, remedy: str = "") -> Problem:
        """A problem of this object with its place, and in the spelling of the file what must be quoted."""
        line, column = self.position(path)
        if remedy == QUOTE:
            remedy = f'{QUOTE}: "{self.written(path)}"'
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


class Scanned(msgspec.Struct, frozen=True):
    """What texts hold.

    Args:
        documents: the objects that can be read, at least in part.
        problems: what is wrong so far.
        unreadable: how many parts of the texts describe no object that could be named.
    """

    documents: list[Document]
    problems: list[Problem]
    unreadable: int = 0


def read_documents(text: str, file: str = "") -> list[Document]:
    """The objects of a YAML or JSON text, in order; the items of a list, or list object, stand for themselves.

    Raises:
        InvalidResource: not YAML, or an object without `apiVersion` or `kind`; lists every problem.
    """
    found = scan_documents(text, file)
    if found.problems:
        raise InvalidResource(*found.problems)
    return found.documents


def scan_documents(text: str, file: str = "") -> Scanned:
    """The objects that can be read, and what is wrong with the rest, so that one does not hide the other."""
    read = scan_values(text, file)
    return joined([Scanned([], read.problems, read.broken), *(_scanned(value, file) for value in read.values)])


def joined(parts: Iterable[Scanned]) -> Scanned:
    """What several texts hold together."""
    found = list(parts)
    return Scanned(
        [document for part in found for document in part.documents],
        [problem for part in found for problem in part.problems],
        sum(part.unreadable for part in found),
    )


def _scanned(value: Value, file: str) -> Scanned:
    found = list(_listed(value, file))
    documents = [one for one in found if isinstance(one, Document)]
    problems = [one for one in found if isinstance(one, Problem)]
    is_told = problems or any(document.place.flawed for document in documents)
    return Scanned(documents, problems, len(problems) or int(value.place.flawed and not is_told))


class Loaded(msgspec.Struct, frozen=True):
    """What a document describes.

    Args:
        resource: without what is wrong.
        problems: everything that is wrong so far.
        doubtful: paths of what is wrong, and of what may have been meant by it.
        warnings: what people should know.
    """

    resource: Resource
    problems: tuple[Problem, ...] = ()
    doubtful: frozenset[str] = frozenset()
    warnings: tuple[Problem, ...] = ()


def load_resource(document: Document) -> Resource:
    """The resource that a document describes; nothing is filled in and no value is judged yet.

    Raises:
        InvalidResource: unknown kind or version, unknown or missing fields, wrong types; lists every problem.
    """
    loaded = load(document)
    if loaded.problems:
        raise InvalidResource(*loaded.problems)
    return loaded.resource


def load(document: Document) -> Loaded:
    """What can be read of a document, and what is wrong with the rest, so that one does not hide the other.

    What Kubernetes notes down of who wrote an object of its own, and what, is left out.

    Raises:
        InvalidResource: unknown kind or version.
    """
    kind = KINDS.get(document.kind)
    version = kind.api_version if kind else API_VERSION
    if document.api_version != version:
        raise InvalidResource(document.problem("apiVersion", f"is {document.api_version!r}", f"use {version}"))
    if kind is None:
        remedy = near(document.kind, KINDS) or f"known are {', '.join(KINDS)}"
        raise InvalidResource(document.problem("kind", f"{document.kind!r} is not a kind of resource", remedy))
    checked = check(_without_envelope(document.mapping), kind)
    resource: Resource = msgspec.convert(checked.value, kind)
    return Loaded(
        resource if version == API_VERSION else _without_books(resource),
        tuple(document.problem(path, problem, remedy) for path, problem, remedy in checked.findings),
        frozenset(checked.doubtful),
        tuple(document.problem(*finding) for finding in told_blanks(checked.blanks)),
    )


def is_resource(document: Document) -> bool:
    """Whether a document is of a kind and version that a datastore holds as it is."""
    kind = KINDS.get(document.kind)
    return kind is not None and document.api_version == kind.api_version


def _without_envelope(mapping: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in ("apiVersion", "kind")}


def _without_books(resource: Resource) -> Resource:
    """Without what Kubernetes notes down of who wrote what, which is larger than all that is kept of an object."""
    metadata = resource.metadata
    annotations = {name: value for name, value in metadata.annotations.items() if name != LAST_APPLIED}
    kept = msgspec.structs.replace(metadata, annotations=annotations, managed_fields=())
    return msgspec.structs.replace(resource, metadata=kept)


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
        place = place.parts.get(field, place)
        problem = "must be a text" if value.plain.get(field) else "is required"
        yield Problem("document", field, problem, "", file, place.line, place.column)
