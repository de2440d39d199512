"""The table of fields of FelixConfiguration, by what they may hold."""

from __future__ import annotations

import msgspec

from tortie.api import formats as f
from tortie.api.felixconfiguration import (
    BPFConntrackTimeouts,
    FelixConfigurationSpec,
    FirstRouteTables,
    HealthTimeoutOverride,
    ProtoPort,
    RouteTableRange,
)
from tortie.api.field import COUNT, ENABLED, ROUTE_PRIORITY, Field, one

DURATION = one(f.DURATION)
PORT = one(f.between(0, 65535))
MARK = one(f.between(0, 2**32 - 1))
MTU = one(f.between(0, 65535))
REGEX = one(f.REGEX)
SEVERITY = one(f.in_any_case("Trace", "Debug", "Info", "Warning", "Error", "Fatal"))
ALLOW_ACTION = one(f.in_any_case("Accept", "Return"))
DENY_ACTION = one(f.in_any_case("Drop", "Reject"))
SERVICES = one(f.between(1, 3000))
UNLIMITED = one(f.between(-1, 2**63 - 1))
TABLE = Field(format=f.between(1, 2**32 - 1), required=True)
FIRST_TABLE = Field(format=f.between(1, 250), required=True)

_ALIKE: tuple[tuple[Field, tuple[str, ...]], ...] = (
    (ALLOW_ACTION, ("iptables_filter_allow_action", "iptables_mangle_allow_action")),
    (ALLOW_ACTION, ("nftables_filter_allow_action", "nftables_mangle_allow_action")),
    (DENY_ACTION, ("iptables_filter_deny_action", "nftables_filter_deny_action")),
    (SEVERITY, ("log_severity_file", "log_severity_screen", "log_severity_sys")),
    (MARK, ("iptables_mark_mask", "nftables_mark_mask", "bpf_ext_to_service_connmark")),
    (PORT, ("metadata_port", "vxlan_port", "health_port", "prometheus_metrics_port", "debug_port")),
    (PORT, ("bpf_kube_proxy_healthz_port",)),
    (MTU, ("ipip_mtu", "vxlan_mtu", "vxlan_mtu_v6", "wireguard_mtu", "wireguard_mtu_v6")),
    (REGEX, ("log_debug_filename_regex", "mtu_iface_pattern", "nftables_flow_table_data_iface_pattern")),
    (REGEX, ("bpf_data_iface_pattern", "bpf_l3_iface_pattern", "bpf_disable_gro_for_ifaces")),
    (ROUTE_PRIORITY, ("ipv4_normal_route_priority", "ipv4_elevated_route_priority")),
    (ROUTE_PRIORITY, ("ipv6_normal_route_priority", "ipv6_elevated_route_priority")),
    (ENABLED, ("ip_forwarding", "floating_ips", "windows_manage_firewall_rules", "istio_ambient_mode")),
    (ENABLED, ("flow_logs_local_reporter", "bpf_profiling", "bpf_host_networked_nat_without_ctlb")),
    (COUNT, ("max_ipset_size", "bpf_export_buffer_size_mb", "bpf_map_size_nat_frontend", "bpf_map_size_nat_backend")),
    (COUNT, ("bpf_map_size_nat_affinity", "bpf_map_size_route", "bpf_map_size_conntrack", "bpf_map_size_ip_sets")),
    (COUNT, ("bpf_map_size_per_cpu_conntrack", "bpf_map_size_if_state")),
    (UNLIMITED, ("go_gc_threshold", "go_memory_limit_mb", "go_max_procs")),
    (SERVICES, ("bpf_maglev_max_endpoints_per_service", "bpf_maglev_max_services")),
    (one(f.PREFIX), ("external_nodes_list", "bpf_dsr_optout_cidrs", "bpf_exclude_cidrs_from_nat")),
    (one(f.NUMERIC_PORTS), ("nat_port_range", "bpf_psnat_ports")),
    (one(f.IPV4_ADDRESS), ("nat_outgoing_address", "device_route_source_address")),
    (one(f.between(1, 65535)), ("wireguard_listening_port", "wireguard_listening_port_v6")),
    (one(f.INTERFACE), ("wireguard_interface_name", "wireguard_interface_name_v6")),
)

_SINGLE: dict[str, Field] = {
    "node_selector": Field(selector="anywhere", most=1024),
    "feature_detect_override": one(f.SWITCHES),
    "feature_gates": one(f.ASSIGNMENTS),
    "iptables_backend": one(f.one_of("Legacy", "NFT", "Auto")),
    "chain_insert_mode": one(f.in_any_case("Insert", "Append")),
    "default_endpoint_to_host_action": one(f.in_any_case("Drop", "Accept", "Return")),
    "log_prefix": one(f.pattern(r"[a-zA-Z0-9%: /_-]*", "letters, digits, spaces, '%', ':', '/', '_', '-'")),
    "log_action_rate_limit": one(
        f.pattern(r"[1-9][0-9]{0,3}/(?:second|minute|hour|day)", "a rate such as 10/second or 100/hour")
    ),
    "log_action_rate_limit_burst": one(f.between(0, 9999)),
    "vxlan_vni": one(f.between(0, 2**24 - 1)),
    "prometheus_metrics_host": one(f.pattern(r"[a-zA-Z0-9:._+-]{1,64}", "the name or address of a host")),
    "prometheus_metrics_client_auth": one(
        f.one_of("RequireAndVerifyClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "NoClientCert")
    ),
    "kube_node_port_ranges": Field(format=f.NUMERIC_PORTS, most=7),
    "nat_outgoing_exclusions": one(f.one_of("IPPoolsOnly", "IPPoolsAndHostIPs")),
    "device_route_source_address_ipv6": one(f.IPV6_ADDRESS),
    "device_route_protocol": one(f.between(0, 255)),
    "program_cluster_routes": one(f.one_of("Enabled", "Disabled", "EnabledNoEncapOnly", "EnabledIPIPOnly")),
    "iptables_nat_outgoing_interface_filter": one(f.INTERFACE_FILTER),
    "nftables_mode": one(f.one_of("Disabled", "Enabled", "Auto")),
    "nftables_flow_table_offload": one(f.one_of("Disabled", "All")),
    "bpf_overlay_host_source_ip": one(f.one_of("TunnelAddress", "HostAddress")),
    "bpf_jit_hardening": one(f.one_of("Auto", "Strict")),
    "bpf_log_level": one(f.in_any_case("Off", "Info", "Debug")),
    "bpf_conntrack_log_level": one(f.one_of("Off", "Debug")),
    "bpf_conntrack_mode": one(f.one_of("Auto", "Userspace", "BPFProgram")),
    "bpf_log_filters": Field(keys=f.INTERFACE_FILTER),
    "bpf_connect_time_load_balancing": one(f.one_of("TCP", "Enabled", "Disabled")),
    "bpf_external_service_mode": one(f.in_any_case("Tunnel", "DSR")),
    "bpf_map_size_conntrack_scaling": one(f.in_any_case("Disabled", "DoubleIfFull")),
    "bpf_map_size_conntrack_cleanup_queue": one(f.between(1, 2**63 - 1)),
    "bpf_enforce_rpf": one(f.in_any_case("Disabled", "Strict", "Loose")),
    "bpf_force_track_packets_from_ifaces": one(f.INTERFACE_FILTER),
    "istio_dscp_mark": one(f.DSCP),
    "flow_logs_policy_evaluation_mode": one(f.one_of("None", "Continuous")),
    # L2Only is the old name of Enabled.
    "bpf_redirect_to_peer": one(f.one_of("Enabled", "Disabled", "L2Only")),
    "bpf_attach_type": one(f.one_of("TC", "TCX", "Netkit")),
    "route_source": one(f.in_any_case("WorkloadIPs", "CalicoIPAM")),
    "wireguard_routing_rule_priority": one(f.between(1, 32765)),
    "aws_src_dst_check": one(f.one_of("DoNothing", "Enable", "Disable")),
    "service_loop_prevention": one(f.one_of("Drop", "Reject", "Disabled")),
    "workload_source_spoofing": one(f.one_of("Disabled", "Any")),
    "local_subnet_l2_reachability": one(f.one_of("Disabled", "PodsAndLoadBalancers")),
}

_DURATIONS = {
    field.name: DURATION
    for field in msgspec.structs.fields(FelixConfigurationSpec)
    if field.name.endswith(("_interval", "_timeout", "_delay", "_after", "_ttl", "_period", "_time", "_keep_alive"))
}

FELIX_FIELDS: dict[type[msgspec.Struct], dict[str, Field]] = {
    FelixConfigurationSpec: _DURATIONS | {name: field for field, names in _ALIKE for name in names} | _SINGLE,
    ProtoPort: {
        "protocol": one(f.in_any_case("TCP", "UDP", "SCTP")),
        "port": PORT,
        "net": one(f.PREFIX),
    },
    HealthTimeoutOverride: {"name": Field(required=True), "timeout": Field(format=f.DURATION, required=True)},
    RouteTableRange: {"min": TABLE, "max": TABLE},
    FirstRouteTables: {"min": FIRST_TABLE, "max": FIRST_TABLE},
    BPFConntrackTimeouts: {name: one(f.DURATION_OR_AUTO) for name in BPFConntrackTimeouts.__struct_fields__},
}
"""Fields by struct and attribute."""
