"""Claims on blocks and the settings of address management, as resources, from where they really are.

What a datastore holds as resources of these kinds are copies, which address management never reads.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TypeVar

from tortie.api.blockaffinity import BlockAffinity, BlockAffinitySpec
from tortie.api.codec import decode_value
from tortie.api.ipam import BlockAffinity as Claim
from tortie.api.ipam import IPAMConfig
from tortie.api.ipamconfiguration import IPAMConfiguration, IPAMConfigurationSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.base.errors import InvalidResource
from tortie.datastore.contract import KeyValue
from tortie.datastore.keys import IPAM_CONFIG_KEY, IPAM_PREFIXES, VIRTUAL_OWNER, parse_key
from tortie.datastore.reading import ResourceReader
from tortie.ipam.catalog import DEFAULT_CONFIG
from tortie.ipam.errors import UnreadableRecord

Record = TypeVar("Record", Claim, IPAMConfig)

SETTINGS = ResourceKey(IPAMConfiguration.kind, "", "default")


class AddressReader(ResourceReader):
    """Reads these kinds from the records of address management, and all others as ever."""

    async def get(self, key: ResourceKey) -> Resource | None:
        """As for other resources. Raises InvalidResource for what cannot be read."""
        if key.kind == IPAMConfiguration.kind and key.name == SETTINGS.name:
            return await self._settings()
        if key.kind == BlockAffinity.kind:
            for item in await self._claims():
                if name_of(item) == key.name:
                    return claim_of(item)
        return await super().get(key)

    async def list(self, kind: str, namespace: str | None = None) -> Sequence[Resource]:
        """As for other resources; a copy stands only where nothing real has its name."""
        found = {one.key: one for one in await super().list(kind, namespace)}
        if kind == IPAMConfiguration.kind:
            settings = await self._settings()
            found[settings.key] = settings
        if kind == BlockAffinity.kind:
            for item in await self._claims():
                try:
                    found[ResourceKey(kind, "", name_of(item))] = claim_of(item)
                except UnreadableRecord as error:
                    self._unreadable(ResourceKey(kind, "", name_of(item)), f"{error.key}: {error.reason}")
        return [found[key] for key in sorted(found)]

    async def keys(self, kind: str, namespace: str | None = None) -> builtins.list[ResourceKey]:
        """As for other resources."""
        named = set(await super().keys(kind, namespace))
        if kind == IPAMConfiguration.kind:
            named.add(SETTINGS)
        if kind == BlockAffinity.kind:
            named |= {ResourceKey(kind, "", name_of(item)) for item in await self._claims()}
        return sorted(named)

    async def _settings(self) -> IPAMConfiguration:
        stored = await self.datastore.get(IPAM_CONFIG_KEY)
        config, revision = (_value(stored, IPAMConfig), str(stored.revision)) if stored else (DEFAULT_CONFIG, "")
        spec = IPAMConfigurationSpec(
            strict_affinity=config.strict_affinity,
            max_blocks_per_host=config.max_blocks_per_host,
            auto_allocate_blocks=config.auto_allocate_blocks,
            kubevirt_vm_address_persistence=config.kubevirt_vm_address_persistence or None,
            ip_cooldown_seconds=config.ip_cooldown_seconds,
        )
        return IPAMConfiguration(metadata=Metadata(name=SETTINGS.name, resource_version=revision), spec=spec)

    async def _claims(self) -> Sequence[KeyValue]:
        listings = [await self.datastore.list(prefix) for prefix in IPAM_PREFIXES[BlockAffinity.kind]]
        return [item for listing in listings for item in listing.items if parse_key(item.key)]


def name_of(item: KeyValue) -> str:
    """`n1-10-65-1-64-26`, as the API names the claim of an owner on a block."""
    key = parse_key(item.key)
    assert key is not None, "only keys that name a claim are looked at"
    cidr = key.name.replace(".", "-").replace(":", "-").replace("/", "-")
    return f"{key.namespace.removeprefix(VIRTUAL_OWNER)}-{cidr}"


def claim_of(item: KeyValue) -> BlockAffinity:
    """The resource. Raises UnreadableRecord."""
    key = parse_key(item.key)
    assert key is not None, "only keys that name a claim are looked at"
    claim = _value(item, Claim)
    virtual = key.namespace.startswith(VIRTUAL_OWNER)
    spec = BlockAffinitySpec(
        state=claim.state,
        node=key.namespace.removeprefix(VIRTUAL_OWNER),
        type="virtual" if virtual else "host",
        cidr=key.name,
        deleted=claim.deleted,
    )
    return BlockAffinity(metadata=Metadata(name=name_of(item), resource_version=str(item.revision)), spec=spec)


def _value(item: KeyValue, type: type[Record]) -> Record:
    try:
        return decode_value(type, item.value)
    except InvalidResource as error:
        raise UnreadableRecord(item.key, "; ".join(one.problem for one in error.problems)) from error
