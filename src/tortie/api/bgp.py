"""BGPConfiguration and BGPPeer: how nodes exchange routes with each other and with the network."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class SecretKeyRef(Model, frozen=True, kw_only=True):
    """A key of a Secret."""

    name: str = ""
    key: str = msgspec.field(default_factory=str)
    optional: bool | None = None


class BGPPassword(Model, frozen=True, kw_only=True):
    """Where a TCP-MD5 password is kept."""

    secret_key_ref: SecretKeyRef | None = None


class CidrEntry(Model, frozen=True, kw_only=True):
    """One prefix of a list."""

    cidr: str = ""


class Community(Model, frozen=True, kw_only=True):
    """A named standard (`aa:nn`) or large (`aa:nn:mm`) community."""

    name: str = ""
    value: str = ""


class PrefixAdvertisement(Model, frozen=True, kw_only=True):
    """Communities, by name or value, put on routes inside a prefix."""

    cidr: str = ""
    communities: tuple[str, ...] = ()


class BGPConfigurationSpec(Model, frozen=True, kw_only=True):
    """Settings of all nodes (`default`) or of one (`node.<name>`)."""

    log_severity_screen: str = ""
    node_to_node_mesh_enabled: bool | None = None
    as_number: int | str | None = None
    service_load_balancer_ips: tuple[CidrEntry, ...] = msgspec.field(default=(), name="serviceLoadBalancerIPs")
    service_external_ips: tuple[CidrEntry, ...] = msgspec.field(default=(), name="serviceExternalIPs")
    service_cluster_ips: tuple[CidrEntry, ...] = msgspec.field(default=(), name="serviceClusterIPs")
    service_load_balancer_aggregation: str | None = None
    communities: tuple[Community, ...] = ()
    prefix_advertisements: tuple[PrefixAdvertisement, ...] = ()
    listen_port: int = 0
    node_mesh_password: BGPPassword | None = None
    node_mesh_max_restart_time: str | None = None
    bind_mode: str | None = None
    ignored_interfaces: tuple[str, ...] = ()
    local_workload_peering_ipv4: str = msgspec.field(default="", name="localWorkloadPeeringIPV4")
    local_workload_peering_ipv6: str = msgspec.field(default="", name="localWorkloadPeeringIPV6")
    program_cluster_routes: str | None = None
    ipv4_normal_route_priority: int | None = None
    ipv6_normal_route_priority: int | None = None


class BGPConfiguration(Resource, frozen=True, kw_only=True):
    """BGP settings."""

    kind: ClassVar[str] = "BGPConfiguration"
    plural: ClassVar[str] = "bgpconfigurations"
    aliases: ClassVar[tuple[str, ...]] = ("bgpconfig", "bgpconfigs")

    spec: BGPConfigurationSpec = msgspec.field(default_factory=BGPConfigurationSpec)


class BGPPeerSpec(Model, frozen=True, kw_only=True):
    """Peering of the selected nodes (all, when neither is given) with an address or with nodes."""

    node: str = ""
    node_selector: str = ""
    peer_ip: str = msgspec.field(default="", name="peerIP")
    as_number: int | str | None = None
    local_as_number: int | str | None = msgspec.field(default=None, name="localASNumber")
    peer_selector: str = ""
    keep_original_next_hop: bool = False
    next_hop_mode: str | None = None
    password: BGPPassword | None = None
    source_address: str = ""
    max_restart_time: str | None = None
    keepalive_time: str | None = None
    num_allowed_local_as_numbers: int | None = msgspec.field(default=None, name="numAllowedLocalASNumbers")
    ttl_security: int | None = None
    reachable_by: str = ""
    filters: tuple[str, ...] = ()
    local_workload_selector: str = ""
    reverse_peering: str | None = None


class BGPPeer(Resource, frozen=True, kw_only=True):
    """A BGP session, or a set of them."""

    kind: ClassVar[str] = "BGPPeer"
    plural: ClassVar[str] = "bgppeers"

    spec: BGPPeerSpec = msgspec.field(default_factory=BGPPeerSpec)
