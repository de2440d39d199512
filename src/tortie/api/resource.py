"""What every resource has: identity, metadata, and the envelope of kind, metadata, spec and status."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

API_VERSION = "projectcalico.org/v3"


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


class Model(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """Base of every part of a resource: lower-camel names, stored in field order, empty fields left out.

    Decoding ignores unknown fields, because a datastore may be shared with a newer writer; what a
    person hands in is checked for unknown fields before (`tortie.api.documents`). A field with a
    `default_factory` is one that is always stored, even when it is empty. `left_out` names what
    Kubernetes has besides the fields, and is not kept on purpose.
    """

    left_out: ClassVar[frozenset[str]] = frozenset()


class OwnerReference(Model, frozen=True, kw_only=True):
    """A Kubernetes owner, kept as given."""

    api_version: str = msgspec.field(default_factory=str)
    kind: str = msgspec.field(default_factory=str)
    name: str = msgspec.field(default_factory=str)
    uid: str = msgspec.field(default_factory=str)
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ManagedFields(Model, frozen=True, kw_only=True):
    """Which Kubernetes writer owns which fields, kept as given."""

    manager: str = ""
    operation: str = ""
    api_version: str = ""
    time: str | None = None
    fields_type: str = ""
    fields_v1: dict[str, Any] | None = None
    subresource: str = ""


class Condition(Model, frozen=True, kw_only=True):
    """One observation of a controller: `status` is True, False or Unknown."""

    type: str = msgspec.field(default_factory=str)
    status: str = msgspec.field(default_factory=str)
    observed_generation: int = 0
    last_transition_time: str | None = msgspec.field(default_factory=lambda: None)
    reason: str = msgspec.field(default_factory=str)
    message: str = msgspec.field(default_factory=str)


class Metadata(Model, frozen=True, kw_only=True):
    """Kubernetes object metadata; `resource_version` is the decimal revision and is never stored."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    self_link: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[ManagedFields, ...] = ()


class ResourceKey(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """Which object: kind, namespace (empty for cluster-wide kinds) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        if not self.name:
            return self.kind
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Resource(Model, frozen=True, kw_only=True):
    """Base of the kinds; each subclass adds `spec` and, where it has one, `status`, in that order.

    `apiVersion` and `kind` are not fields: the codec writes them first. Kinds of another API version
    than ours are Kubernetes' own; those that are `partial` lack fields that are left out on purpose.
    """

    kind: ClassVar[str] = ""
    api_version: ClassVar[str] = API_VERSION
    plural: ClassVar[str] = ""
    namespaced: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ()
    partial: ClassVar[bool] = False

    metadata: Metadata = msgspec.field(default_factory=Metadata)

    @property
    def key(self) -> ResourceKey:
        """Identity of this object."""
        return ResourceKey(self.kind, self.metadata.namespace, self.metadata.name)
