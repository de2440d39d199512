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

    internal_ip: str = msgspec.field(default_factory=str, name="internalIP")
    external_ip: str = msgspec.field(default_factory=str, name="externalIP")


class QoSControls(Model, frozen=True, kw_only=True):
    """Limits of one workload; bandwidths in bits and packets a second, bursts in bits and packets, 0 is none.

    `dscp` marks what leaves the cluster: a number 0 to 63 or a name such as `EF`.
    """

    ingress_bandwidth: int = 0
    egress_bandwidth: int = 0
    ingress_burst: int = 0
    egress_burst: int = 0
    ingress_peakrate: int = 0
    egress_peakrate: int = 0
    ingress_minburst: int = 0
    egress_minburst: int = 0
    ingress_packet_rate: int = 0
    egress_packet_rate: int = 0
    ingress_packet_burst: int = 0
    egress_packet_burst: int = 0
    ingress_max_connections: int = 0
    egress_max_connections: int = 0
    dscp: int | str | None = None


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
    qos_controls: QoSControls | None = None


class WorkloadEndpoint(Resource, frozen=True, kw_only=True):
    """A workload's attachment to the network."""

    kind: ClassVar[str] = "WorkloadEndpoint"
    plural: ClassVar[str] = "workloadendpoints"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("wep", "weps")

    spec: WorkloadEndpointSpec = msgspec.field(default_factory=WorkloadEndpointSpec)
