"""Which fields of FelixConfiguration are which settings of ours, and when a change of them counts. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tortie.api.durations import SECOND, nanoseconds
from tortie.api.felixconfiguration import FelixConfigurationSpec, ProtoPort


class Row(msgspec.Struct, frozen=True):
    """One field.

    Args:
        field: attribute of FelixConfigurationSpec.
        setting: ours.
        text: of a value that is given, as file and environment would spell it.
        live: counts at once; otherwise when the agent starts again.
    """

    field: str
    setting: str
    text: Callable[[Any], str] = str
    live: bool = True

    def given(self, spec: FelixConfigurationSpec) -> str | None:
        """What it says, as text; None when it says nothing."""
        value = getattr(spec, self.field)
        return None if value is None or value == "" else self.text(value)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values)


def _seconds(duration: str) -> str:
    """What cannot be read stays as it is, for whoever judges it."""
    value = nanoseconds(duration)
    return duration if value is None else repr(value / SECOND)


def _whole_seconds(duration: str) -> str:
    value = nanoseconds(duration)
    return duration if value is None else str(-(-value // SECOND))


def _ports(value: int | str) -> str:
    return f"{value}:{value}" if isinstance(value, int) or value.isdigit() else value


def _failsafes(ports: tuple[ProtoPort, ...]) -> str:
    return ", ".join(map(_failsafe, ports)) or "none"


def _failsafe(one: ProtoPort) -> str:
    net = f"[{one.net}]:" if ":" in one.net else f"{one.net}:" if one.net else ""
    return f"{one.protocol or 'tcp'}:{net}{one.port}"


ROWS: tuple[Row, ...] = (
    Row("interface_prefix", "interface_prefix", live=False),
    Row("default_endpoint_to_host_action", "default_endpoint_to_host_action"),
    Row("log_prefix", "log_prefix"),
    Row("log_action_rate_limit", "log_action_rate_limit"),
    Row("log_action_rate_limit_burst", "log_action_rate_limit_burst"),
    Row("failsafe_inbound_host_ports", "failsafe_inbound_host_ports", _failsafes),
    Row("failsafe_outbound_host_ports", "failsafe_outbound_host_ports", _failsafes),
    Row("vxlan_port", "vxlan_port", live=False),
    Row("vxlan_vni", "vxlan_vni", live=False),
    Row("ipip_mtu", "ipip_mtu", live=False),
    Row("vxlan_mtu", "vxlan_mtu", live=False),
    Row("vxlan_mtu_v6", "vxlan_mtu_v6", live=False),
    Row("route_source", "route_source", live=False),
    Row("wireguard_enabled", "wireguard_enabled", _flag),
    Row("wireguard_enabled_v6", "wireguard_enabled_v6", _flag),
    Row("wireguard_listening_port", "wireguard_listening_port"),
    Row("wireguard_listening_port_v6", "wireguard_listening_port_v6"),
    Row("wireguard_interface_name", "wireguard_interface_name", live=False),
    Row("wireguard_interface_name_v6", "wireguard_interface_name_v6", live=False),
    Row("wireguard_mtu", "wireguard_mtu"),
    Row("wireguard_mtu_v6", "wireguard_mtu_v6"),
    Row("wireguard_routing_rule_priority", "wireguard_routing_rule_priority"),
    Row("wireguard_host_encryption_enabled", "wireguard_host_encryption_enabled", _flag),
    Row("wireguard_keep_alive", "wireguard_keep_alive_seconds", _whole_seconds),
    Row("external_nodes_list", "external_nodes_cidr_list", _listed),
    Row("allow_vxlan_packets_from_workloads", "allow_vxlan_packets_from_workloads", _flag),
    Row("allow_ipip_packets_from_workloads", "allow_ipip_packets_from_workloads", _flag),
    Row("nat_port_range", "nat_port_range", _ports),
    Row("nat_outgoing_address", "nat_outgoing_address"),
    Row("nat_outgoing_exclusions", "nat_outgoing_exclusions"),
    Row("iptables_nat_outgoing_interface_filter", "nat_outgoing_interface_filter"),
    Row("service_loop_prevention", "service_loop_prevention"),
    Row("floating_ips", "floating_ips"),
    Row("workload_source_spoofing", "workload_source_spoofing"),
    Row("metadata_addr", "metadata_addr"),
    Row("metadata_port", "metadata_port"),
    Row("mtu_iface_pattern", "mtu_iface_pattern"),
    Row("ip_forwarding", "ip_forwarding"),
    Row("nftables_mark_mask", "nftables_mark_mask"),
    Row("ipv4_normal_route_priority", "ipv4_normal_route_priority"),
    Row("ipv4_elevated_route_priority", "ipv4_elevated_route_priority"),
    Row("ipv6_normal_route_priority", "ipv6_normal_route_priority"),
    Row("ipv6_elevated_route_priority", "ipv6_elevated_route_priority"),
    Row("live_migration_route_convergence_time", "live_migration_route_convergence_seconds", _seconds),
    Row("health_host", "health_host"),
    Row("health_port", "health_port"),
    Row("log_severity_screen", "log_level"),
    Row("endpoint_reporting_enabled", "endpoint_reporting_enabled", _flag, live=False),
    Row("endpoint_reporting_delay", "endpoint_reporting_delay_seconds", _seconds, live=False),
    Row("reporting_interval", "reporting_interval_seconds", _seconds, live=False),
    Row("reporting_ttl", "reporting_ttl_seconds", _whole_seconds, live=False),
    Row("endpoint_status_path_prefix", "endpoint_status_path_prefix", live=False),
    Row("openstack_region", "openstack_region", live=False),
)
"""Every field that is carried out, but `nodeSelector`, which says for whom all others are."""

LIVE = frozenset(row.setting for row in ROWS if row.live)
"""Settings that may change while an agent runs."""
