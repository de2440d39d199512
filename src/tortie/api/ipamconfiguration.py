"""IPAMConfiguration: the settings of address management as a resource (what it reads itself is in `ipam`)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class IPAMConfigurationSpec(Model, frozen=True, kw_only=True):
    """`max_blocks_per_host` of zero means the built-in limit; a released address rests for the cooldown."""

    strict_affinity: bool = msgspec.field(default_factory=bool)
    max_blocks_per_host: int = 0
    auto_allocate_blocks: bool = msgspec.field(default_factory=lambda: True)
    kubevirt_vm_address_persistence: str | None = msgspec.field(default=None, name="kubeVirtVMAddressPersistence")
    ip_cooldown_seconds: int = 0


class IPAMConfiguration(Resource, frozen=True, kw_only=True):
    """The one named `default`."""

    kind: ClassVar[str] = "IPAMConfiguration"
    plural: ClassVar[str] = "ipamconfigurations"
    aliases: ClassVar[tuple[str, ...]] = ("ipamconfig", "ipamconfigs")

    spec: IPAMConfigurationSpec = msgspec.field(default_factory=IPAMConfigurationSpec)
