"""Changing what is stored: the resource that a stored one becomes when its text is changed."""

from __future__ import annotations

from typing import Any

from tortie.api.documents import Document, load_resource
from tortie.api.resource import Resource
from tortie.api.text import Place
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.manifests import complete

_FIXED = ("name", "namespace", "uid")
"""Metadata by which an object is known."""


def changed(stored: Resource, mapping: Any) -> Resource:
    """The resource that plain data describes, in place of the stored one.

    Raises:
        InvalidResource: the data is no valid resource, or describes another object.
    """
    if not isinstance(mapping, dict):
        raise InvalidResource(Problem(str(stored.key), "", "would no longer be an object", "change its fields"))
    document = Document(str(mapping.get("apiVersion")), str(mapping.get("kind")), mapping, "", Place(0, 0))
    if document.kind != stored.kind:
        raise InvalidResource(Problem(str(stored.key), "kind", "cannot change", "delete the object and make another"))
    resource = load_resource(document)
    problems = [
        Problem(str(stored.key), f"metadata.{field}", "cannot change", "delete the object and make another")
        for field in _FIXED
        if getattr(resource.metadata, field) != getattr(stored.metadata, field)
    ]
    if problems:
        raise InvalidResource(*problems)
    return complete(resource)
