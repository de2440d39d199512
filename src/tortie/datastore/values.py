"""Stored bytes of any kind as the object that its key says it is. Pure."""

from __future__ import annotations

import msgspec

from tortie.api import codec
from tortie.api.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.api.newer import with_newer_rules
from tortie.api.resource import Resource, ResourceKey

StoredValue = Resource | IPAMBlock | BlockAffinity | IPAMHandle | IPAMConfig

_IPAM_TYPES: dict[str, type[IPAMBlock | BlockAffinity | IPAMHandle | IPAMConfig]] = {
    type.__name__: type for type in (IPAMBlock, BlockAffinity, IPAMHandle, IPAMConfig)
}


def decode_stored(key: ResourceKey, data: bytes, revision: int) -> StoredValue:
    """The object under a key; rules with conditions that are not known here are marked.

    Raises:
        InvalidResource: the bytes are not an object of the key's kind.
    """
    type = None if _is_copy(key) else _IPAM_TYPES.get(key.kind)
    return codec.decode_value(type, data) if type else with_newer_rules(decode_resource(key, data, revision), data)


def _is_copy(key: ResourceKey) -> bool:
    """Whether a key names the resource that is a copy of a claim; the claim itself names its owner."""
    return key.kind == BlockAffinity.__name__ and not key.namespace


def decode_resource(key: ResourceKey, data: bytes, revision: int) -> Resource:
    """The resource under a key, with its revision; where it is stored decides its name, whatever it says itself.

    Raises:
        InvalidResource: the bytes are not a resource of the key's kind.
    """
    resource = codec.decode(key.kind, data)
    metadata = msgspec.structs.replace(
        resource.metadata, name=key.name, namespace=key.namespace, resource_version=str(revision)
    )
    return msgspec.structs.replace(resource, metadata=metadata)
