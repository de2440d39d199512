"""Renaming policies that old writers stored with `default.` before their name to what everybody calls them now."""

from __future__ import annotations

import msgspec

from tortie.api import codec
from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import AlreadyExists, InvalidResource
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.keys import parse_resource_key, resource_key, resource_prefix


class Renaming(msgspec.Struct, frozen=True):
    """One policy stored under an old name.

    Args:
        old, new: the name that its key says, and the one that it should have.
        taken: another policy has the new one, so that both stayed.
        disagrees: its key and its value name different policies, neither of them by an old name, so that it stayed.
    """

    old: ResourceKey
    new: ResourceKey
    taken: bool = False
    disagrees: bool = False

    @property
    def stayed(self) -> bool:
        """Whether nothing was changed, and somebody has to look."""
        return self.taken or self.disagrees


async def rename_policies(datastore: Datastore) -> list[Renaming]:
    """Write each under its new name, then delete the old one; interrupted, the same call ends the work.

    For a moment both are there: the same rules twice, which let through what they did before.
    """
    done = []
    for kind in sorted(codec.NAMED_KINDS):
        for item in (await datastore.list(resource_prefix(kind))).items:
            renaming = await _rename(datastore, item)
            if renaming is not None:
                done.append(renaming)
    return done


async def _rename(datastore: Datastore, item: KeyValue) -> Renaming | None:
    old = parse_resource_key(item.key)
    resource = _readable(old, item.value) if old else None
    if old is None or resource is None or resource.metadata.name in ("", old.name):
        return None
    new = ResourceKey(old.kind, old.namespace, resource.metadata.name)
    if not _is_spelt_old(old, resource, item.value):
        return Renaming(old, resource.key, disagrees=True)
    value = codec.encode(resource)
    try:
        await datastore.create(resource_key(new), value)
    except AlreadyExists:
        stored = await datastore.get(resource_key(new))
        if stored is None or stored.value != value:
            return Renaming(old, new, taken=True)
    await datastore.delete(item.key, item.revision)
    return Renaming(old, new)


def _is_spelt_old(key: ResourceKey, resource: Resource, data: bytes) -> bool:
    """Whether value and key mean the same policy, which only carries the prefix that old writers gave it."""
    metadata = resource.metadata
    said = msgspec.json.decode(data, type=_Named).metadata
    is_said = said.name == key.name or codec.NAME_ANNOTATION in (said.annotations or {})
    return is_said and key.name == codec.LEGACY_PREFIX + metadata.name and metadata.namespace in ("", key.namespace)


class _NamedMetadata(msgspec.Struct, gc=False):
    name: str | None = None
    annotations: dict[str, str] | None = None


class _Named(msgspec.Struct, gc=False):
    metadata: _NamedMetadata


def _readable(key: ResourceKey, data: bytes) -> Resource | None:
    """What cannot be read keeps its name: the error is told where it is read."""
    try:
        return codec.decode(key.kind, data)
    except InvalidResource:
        return None
