"""HostEndpoint: an interface of a host, so that policy can select and guard it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class NamedPort(Model, frozen=True, omit_defaults=False):
    """A port of the host that rules can call by its name; `protocol` is TCP, UDP or SCTP."""

    name: str = ""
    protocol: int | str = ""
    port: int = 0


class HostEndpointSpec(Model, frozen=True, kw_only=True):
    """`interface_name` is a name, `*` for all of the host, or empty: the one that holds the `expected_ips`."""

    node: str = ""
    interface_name: str = ""
    expected_ips: tuple[str, ...] = msgspec.field(default=(), name="expectedIPs")
    profiles: tuple[str, ...] = ()
    ports: tuple[NamedPort, ...] = ()


class HostEndpoint(Resource, frozen=True, kw_only=True):
    """A host's attachment to the network."""

    kind: ClassVar[str] = "HostEndpoint"
    plural: ClassVar[str] = "hostendpoints"
    aliases: ClassVar[tuple[str, ...]] = ("hep", "heps")

    spec: HostEndpointSpec = msgspec.field(default_factory=HostEndpointSpec)
