"""NetworkSet and GlobalNetworkSet: labelled prefixes that rule selectors can match."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class NetworkSetSpec(Model, frozen=True, kw_only=True):
    """Prefixes or bare addresses of either family."""

    nets: tuple[str, ...] = ()


class NetworkSet(Resource, frozen=True, kw_only=True):
    """Prefixes that belong to a namespace and inherit its labels."""

    kind: ClassVar[str] = "NetworkSet"
    plural: ClassVar[str] = "networksets"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("netset", "netsets")

    spec: NetworkSetSpec = msgspec.field(default_factory=NetworkSetSpec)


class GlobalNetworkSet(Resource, frozen=True, kw_only=True):
    """Prefixes of the whole cluster."""

    kind: ClassVar[str] = "GlobalNetworkSet"
    plural: ClassVar[str] = "globalnetworksets"
    aliases: ClassVar[tuple[str, ...]] = ("gns",)

    spec: NetworkSetSpec = msgspec.field(default_factory=NetworkSetSpec)
