"""IPPool: a prefix from which blocks, and from these addresses, are given out."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Condition, Model, Resource


class IPPoolSpec(Model, frozen=True, kw_only=True):
    """`vxlan_mode` and `ipip_mode` are Never, Always or CrossSubnet; `block_size` is a prefix length."""

    cidr: str = ""
    vxlan_mode: str = ""
    ipip_mode: str = ""
    nat_outgoing: bool = False
    disabled: bool = False
    disable_bgp_export: bool = msgspec.field(default=False, name="disableBGPExport")
    block_size: int = 0
    node_selector: str = ""
    namespace_selector: str = ""
    allowed_uses: tuple[str, ...] = ()
    assignment_mode: str | None = None


class IPPoolStatus(Model, frozen=True, kw_only=True):
    """Conditions set by controllers."""

    conditions: tuple[Condition, ...] = ()


class IPPool(Resource, frozen=True, kw_only=True):
    """A pool of the cluster."""

    kind: ClassVar[str] = "IPPool"
    plural: ClassVar[str] = "ippools"
    aliases: ClassVar[tuple[str, ...]] = ("pool", "pools", "ipp", "ipps")

    spec: IPPoolSpec = msgspec.field(default_factory=IPPoolSpec)
    status: IPPoolStatus | None = None
