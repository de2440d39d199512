"""Service: a Kubernetes object, kept whole as users wrote it (`v1`)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Condition, Model, Resource


class ServicePort(Model, frozen=True, kw_only=True):
    """`port` of the service stands for `target_port`, a number or a name, of its backends."""

    name: str = ""
    protocol: str = ""
    app_protocol: str | None = None
    port: int = 0
    target_port: int | str | None = None
    node_port: int = 0


class ClientIPConfig(Model, frozen=True, kw_only=True):
    """How long a client keeps its backend, in seconds."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(Model, frozen=True, kw_only=True):
    """Settings of session affinity."""

    client_ip: ClientIPConfig | None = msgspec.field(default=None, name="clientIP")


class ServiceSpec(Model, frozen=True, kw_only=True):
    """The specification as Kubernetes has it; rules find backends by EndpointSlices alone."""

    left_out: ClassVar[frozenset[str]] = frozenset({"ipFamily", "topologyKeys"})

    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    type: str = ""
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    session_affinity: str = ""
    load_balancer_ip: str = msgspec.field(default="", name="loadBalancerIP")
    load_balancer_source_ranges: tuple[str, ...] = ()
    external_name: str = ""
    external_traffic_policy: str = ""
    health_check_node_port: int = 0
    publish_not_ready_addresses: bool = False
    session_affinity_config: SessionAffinityConfig | None = None
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str | None = None
    allocate_load_balancer_node_ports: bool | None = None
    load_balancer_class: str | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class PortStatus(Model, frozen=True, kw_only=True):
    """Whether one port of a load balancer works."""

    port: int = 0
    protocol: str = ""
    error: str | None = None


class LoadBalancerIngress(Model, frozen=True, kw_only=True):
    """One address or name at which a load balancer is reached."""

    ip: str = ""
    hostname: str = ""
    ip_mode: str | None = None
    ports: tuple[PortStatus, ...] = ()


class LoadBalancerStatus(Model, frozen=True, kw_only=True):
    """Where a load balancer is reached."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Model, frozen=True, kw_only=True):
    """What controllers observed."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(Resource, frozen=True, kw_only=True):
    """A name for the ports of some backends."""

    kind: ClassVar[str] = "Service"
    api_version: ClassVar[str] = "v1"
    plural: ClassVar[str] = "services"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("svc",)

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()
