"""What the settings of an agent mean for its packet filter and its calculation."""

from __future__ import annotations

from tortie.agent.settings import Settings
from tortie.agent.wireguard_settings import wireguard
from tortie.calculation.permissions import Permissions
from tortie.dataplane.mtu import Chosen
from tortie.desired.failsafes import Failsafes
from tortie.desired.settings import (
    EndpointToHost,
    FilterSettings,
    LogRate,
    MetadataService,
    NodeSettings,
    Outgoing,
    ServiceLoops,
)

_OPENSTACK = "tap"
"""How names of the interfaces of its virtual machines begin."""


def node_settings(settings: Settings) -> NodeSettings:
    """For everything that programs the node."""
    return NodeSettings(filter_settings(settings), forwards=settings.ip_forwarding == "Enabled")


def filter_settings(settings: Settings) -> FilterSettings:
    """For the packet filter."""
    rate = settings.log_action_rate_limit
    return FilterSettings(
        interface_prefixes=(settings.interface_prefix,),
        mark_mask=settings.nftables_mark_mask,
        endpoint_to_host=EndpointToHost(settings.default_endpoint_to_host_action),
        log_prefix=settings.log_prefix,
        log_rate=LogRate.parse(rate, settings.log_action_rate_limit_burst) if rate else None,
        log_group=settings.log_group,
        failsafes=Failsafes(settings.failsafe_inbound_host_ports, settings.failsafe_outbound_host_ports),
        vxlan_port=settings.vxlan_port,
        wireguard=wireguard(settings),
        external_nodes=settings.external_nodes_cidr_list,
        vxlan_from_workloads=settings.allow_vxlan_packets_from_workloads,
        ipip_from_workloads=settings.allow_ipip_packets_from_workloads,
        nat=_outgoing(settings),
        metadata=_metadata(settings),
        service_loops=ServiceLoops(settings.service_loop_prevention),
        openstack=_is_openstack(settings),
    )


def chosen_mtus(settings: Settings) -> Chosen:
    """What the MTUs of devices are set to."""
    return Chosen(
        ipip=settings.ipip_mtu,
        vxlan={4: settings.vxlan_mtu, 6: settings.vxlan_mtu_v6},
        wireguard={4: settings.wireguard_mtu, 6: settings.wireguard_mtu_v6},
    )


def permissions(settings: Settings) -> Permissions:
    """For the calculation."""
    return Permissions(
        floating_ips=settings.floating_ips == "Enabled" or _is_openstack(settings),
        source_spoofing=settings.workload_source_spoofing == "Any",
    )


def _outgoing(settings: Settings) -> Outgoing:
    return Outgoing(
        addresses=settings.nat_outgoing_address,
        ports=settings.nat_port_range,
        spares_hosts=settings.nat_outgoing_exclusions == "IPPoolsAndHostIPs",
        interface=settings.nat_outgoing_interface_filter,
    )


def _metadata(settings: Settings) -> MetadataService | None:
    if settings.metadata_addr is None or not _is_openstack(settings):
        return None
    return MetadataService(settings.metadata_addr, settings.metadata_port)


def _is_openstack(settings: Settings) -> bool:
    return settings.interface_prefix.startswith(_OPENSTACK)
