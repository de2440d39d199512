"""Which fields of FelixConfiguration this release stores without carrying them out, and why. Pure."""

from __future__ import annotations

from tortie.api.felixconfiguration import FelixConfigurationSpec

_BY_REASON: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "policy is carried out by nftables in a table of its own, which needs no choice of means",
        (
            *("use_internal_dataplane_driver", "dataplane_driver", "dataplane_watchdog_timeout"),
            *("feature_detect_override", "feature_gates", "iptables_backend", "chain_insert_mode"),
            *("iptables_post_write_check_interval", "iptables_lock_probe_interval", "iptables_mark_mask"),
            *("iptables_filter_allow_action", "iptables_mangle_allow_action", "iptables_filter_deny_action"),
            *("nftables_filter_allow_action", "nftables_mangle_allow_action", "nftables_mode"),
            *("sidecar_acceleration_enabled", "xdp_enabled", "generic_xdp_enabled", "windows_manage_firewall_rules"),
        ),
    ),
    (
        "everything is compared with the kernel on its notifications, and besides every `refresh_seconds` of the agent",
        (
            *("route_refresh_interval", "interface_refresh_interval", "iptables_refresh_interval"),
            *("nftables_refresh_interval", "ipsets_refresh_interval", "xdp_refresh_interval"),
        ),
    ),
    ("what policy denies is dropped, never refused", ("nftables_filter_deny_action",)),
    ("what belongs to no connection is always dropped", ("disable_conntrack_invalid_check",)),
    ("both families are always policed; a cluster without pools of IPv6 has none", ("ipv6_support",)),
    ("sets grow as they must, and kernel requests last as long as they do", ("max_ipset_size", "netlink_timeout")),
    ("host endpoints name the interfaces that they guard", ("interface_exclude",)),
    ("flows are not offloaded", ("nftables_flow_table_offload", "nftables_flow_table_data_iface_pattern")),
    (
        "logs go to standard error, as JSON",
        ("log_file_path", "log_severity_file", "log_severity_sys", "log_debug_filename_regex"),
    ),
    ("health is served unless the port is 0, and has no timeouts", ("health_enabled", "health_timeout_overrides")),
    (
        "metrics are served where health is",
        (
            *("prometheus_metrics_enabled", "prometheus_metrics_host", "prometheus_metrics_port"),
            *("prometheus_go_metrics_enabled", "prometheus_process_metrics_enabled"),
            *("prometheus_wire_guard_metrics_enabled", "prometheus_metrics_ca_file", "prometheus_metrics_cert_file"),
            *("prometheus_metrics_key_file", "prometheus_metrics_client_auth"),
        ),
    ),
    (
        "pools and nodes say which tunnels there are",
        (
            *("ipip_enabled", "vxlan_enabled"),
            *("program_cluster_routes", "require_mtu_file"),
        ),
    ),
    ("the kernel chooses the threads that take packets of WireGuard", ("wireguard_threading_enabled",)),
    (
        "routes of the agent are of protocol 80, in the main table, and those of others are left alone",
        (
            *("device_route_source_address", "device_route_source_address_ipv6", "device_route_protocol"),
            *("remove_external_routes", "route_table_ranges", "route_table_range", "route_sync_disabled"),
        ),
    ),
    (
        "this release does not answer for addresses of the local subnet",
        ("local_subnet_l2_reachability", "local_subnet_l2_reachability_refresh_interval"),
    ),
    (
        "this release has no eBPF data plane",
        (
            *("kube_node_port_ranges", "cgroup_v2_path"),
            *(name for name in FelixConfigurationSpec.__struct_fields__ if name.startswith("bpf_")),
        ),
    ),
    (
        "this release has no flow logs",
        (
            *("flow_logs_policy_evaluation_mode", "flow_logs_flush_interval", "flow_logs_collector_debug_trace"),
            *("flow_logs_goldmane_server", "flow_logs_local_reporter"),
        ),
    ),
    ("this release serves no L7 proxies", ("policy_sync_path_prefix", "istio_ambient_mode", "istio_dscp_mark")),
    (
        "nothing is ever reported to anybody",
        ("usage_reporting_enabled", "usage_reporting_initial_delay", "usage_reporting_interval"),
    ),
    ("checks of cloud providers are left alone", ("aws_src_dst_check",)),
    (
        "it concerns the inside of another program",
        (
            *("debug_memory_profile_path", "debug_disable_log_dropping", "debug_simulate_calc_graph_hang_after"),
            *("debug_simulate_dataplane_hang_after", "debug_simulate_dataplane_apply_delay"),
            *("debug_host", "debug_port", "go_gc_threshold", "go_memory_limit_mb", "go_max_procs"),
        ),
    ),
)

UNUSED: dict[str, str] = {field: reason for reason, fields in _BY_REASON for field in fields}
"""Reasons by attribute of FelixConfigurationSpec."""
