"""WorkloadEndpoint: the interface of one container or virtual machine, and where it is."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class EndpointPort(Model, frozen=True, omit_defaults=False):
    """A named port; `host_port` and `host_ip` are informational and always stored."""

    name: str = ""
    protocol: int | str = "TCP"
    port: int = 0
    host_port: int = 0
    host_ip: str = msgspec.field(default="", name="hostIP")


class IPNAT(Model, frozen=True, kw_only=True):
    """A floating address: traffic to the external one is delivered to the internal one."""

    internal_ip: str = msgspec.field(default="", name="internalIP")
    external_ip: str = msgspec.field(default="", name="externalIP")


class WorkloadEndpointSpec(Model, frozen=True, kw_only=True):
    """`ip_networks` hold the endpoint's addresses as /32 and /128 prefixes."""

    orchestrator: str = ""
    workload: str = ""
    node: str = ""
    container_id: str = msgspec.field(default="", name="containerID")
    pod: str = ""
    endpoint: str = ""
    service_account_name: str = ""
    ip_networks: tuple[str, ...] = ()
    ip_nats: tuple[IPNAT, ...] = msgspec.field(default=(), name="ipNATs")
    ipv4_gateway: str = ""
    ipv6_gateway: str = ""
    profiles: tuple[str, ...] = ()
    interface_name: str = ""
    mac: str = ""
    ports: tuple[EndpointPort, ...] = ()
    allow_spoofed_source_prefixes: tuple[str, ...] = ()
    qos_controls: msgspec.Raw | None = None


class WorkloadEndpoint(Resource, frozen=True, kw_only=True):
    """A workload's attachment to the network."""

    kind: ClassVar[str] = "WorkloadEndpoint"
    plural: ClassVar[str] = "workloadendpoints"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("wep", "weps")

    spec: WorkloadEndpointSpec
