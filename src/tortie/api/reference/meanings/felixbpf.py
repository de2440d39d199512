"""What the settings of agents for eBPF mean, and what an agent does without them."""

from __future__ import annotations

from tortie.api.felixconfiguration import BPFConntrackTimeouts
from tortie.api.reference.meaning import Meanings, WhenAbsent

FIELDS = {
    "bpf_enabled": "Whether policy and services are carried out in eBPF.",
    "bpf_overlay_host_source_ip": "The address from which the host sends into the overlay.",
    "bpf_disable_unprivileged": "Whether unprivileged users may not load eBPF programs.",
    "bpf_jit_hardening": "Whether the kernel's hardening of eBPF is lowered where it costs much (Auto), or left "
    "(Strict).",
    "bpf_log_level": "What eBPF programs write to the trace pipe.",
    "bpf_conntrack_log_level": "What the eBPF clean-up of connections writes to the trace pipe.",
    "bpf_conntrack_mode": "Who cleans up eBPF's connections: a program of the kernel, or the agent.",
    "bpf_conntrack_timeouts": "When eBPF forgets idle connections.",
    "bpf_ip_frag_timeout": "How long eBPF waits for the other fragments of a packet.",
    "bpf_log_filters": "Filters, in the language of tcpdump, for what is logged, by interface; `all` is every one.",
    "bpf_ctlb_log_filter": "Whether the balancing of connections when they are opened is logged; `all` does.",
    "bpf_data_iface_pattern": "A regular expression for the host's interfaces that eBPF programs are attached to.",
    "bpf_l3_iface_pattern": "A regular expression for those of them without link-layer addresses.",
    "bpf_connect_time_load_balancing_enabled": "Whether services are resolved when connections are opened; "
    "`bpfConnectTimeLoadBalancing` is newer.",
    "bpf_connect_time_load_balancing": "For which protocols services are resolved when connections are opened.",
    "bpf_host_networked_nat_without_ctlb": "Whether services reached from the host are resolved packet by packet "
    "otherwise.",
    "bpf_external_service_mode": "How a backend on another node answers outside clients: through the first node, or "
    "directly.",
    "bpf_dsr_optout_cidrs": "Clients that are never answered directly.",
    "bpf_ext_to_service_connmark": "Connection mark for traffic from outside to services.",
    "bpf_kube_proxy_iptables_cleanup_enabled": "Whether kube-proxy's rules are removed.",
    "bpf_kube_proxy_min_sync_period": "Least time between two updates of services.",
    "bpf_kube_proxy_healthz_port": "Port at which the health of services is served; 0 serves none.",
    "bpf_psnat_ports": "Source ports for connections that would otherwise collide.",
    "bpf_map_size_nat_frontend": "Entries for ports of services.",
    "bpf_map_size_nat_backend": "Entries for backends of services.",
    "bpf_map_size_nat_affinity": "Entries for clients that keep their backend.",
    "bpf_map_size_route": "Entries for routes.",
    "bpf_map_size_conntrack": "Entries for connections.",
    "bpf_map_size_per_cpu_conntrack": "Entries for connections for each processor; 0 goes by the whole.",
    "bpf_map_size_conntrack_scaling": "Whether the room for connections grows when it is full.",
    "bpf_map_size_conntrack_cleanup_queue": "Entries of the queue of connections to forget.",
    "bpf_map_size_ip_sets": "Entries for members of IP sets.",
    "bpf_map_size_if_state": "Entries for interfaces.",
    "bpf_host_conntrack_bypass": "Whether the kernel's own connection tracking is passed by.",
    "bpf_ip_fragment_reassembly_enabled": "Whether fragments are taken as parts of their packet.",
    "bpf_enforce_rpf": "How strictly source addresses are checked against routes.",
    "bpf_policy_debug_enabled": "Whether the programs of policies can be shown to people.",
    "bpf_force_track_packets_from_ifaces": "Interfaces whose packets the kernel tracks all the same; + is any rest.",
    "bpf_disable_gro_for_ifaces": "A regular expression for interfaces whose received packets are not merged.",
    "bpf_exclude_cidrs_from_nat": "Destinations that are never translated.",
    "bpf_export_buffer_size_mb": "MiB of the buffer through which eBPF programs report.",
    "bpf_redirect_to_peer": "Whether packets for a workload skip the host's end of its interface.",
    "bpf_attach_type": "How eBPF programs are attached; an older kernel gets the next older way.",
    "bpf_profiling": "Whether the run time of eBPF programs is measured.",
    "bpf_maglev_max_endpoints_per_service": "Backends of one service that Maglev hashing makes room for.",
    "bpf_maglev_max_services": "Services that Maglev hashing makes room for.",
}
"""Fields of FelixConfigurationSpec."""

MEANINGS: Meanings = {
    BPFConntrackTimeouts: {
        "creation_grace_period": "How long a new connection is never forgotten.",
        "tcp_syn_sent": "How long an unanswered TCP connection is kept.",
        "tcp_established": "How long an idle TCP connection is kept.",
        "tcp_fins_seen": "How long a TCP connection is kept that both sides closed.",
        "tcp_reset_seen": "How long a TCP connection is kept after a reset.",
        "udp_timeout": "How long an idle UDP flow is kept.",
        "generic_timeout": "How long an idle flow of another protocol is kept.",
        "icmp_timeout": "How long an idle ICMP flow is kept.",
    }
}

ABSENT = {
    "bpf_enabled": "false",
    "bpf_overlay_host_source_ip": "TunnelAddress",
    "bpf_disable_unprivileged": "true",
    "bpf_jit_hardening": "Auto",
    "bpf_log_level": "Off",
    "bpf_conntrack_log_level": "Off",
    "bpf_conntrack_mode": "Auto",
    "bpf_external_service_mode": "Tunnel",
    "bpf_ext_to_service_connmark": "0",
    "bpf_kube_proxy_iptables_cleanup_enabled": "true",
    "bpf_kube_proxy_min_sync_period": "1s",
    "bpf_kube_proxy_healthz_port": "10256",
    "bpf_psnat_ports": "20000:29999",
    "bpf_map_size_nat_frontend": "65536",
    "bpf_map_size_nat_backend": "262144",
    "bpf_map_size_nat_affinity": "65536",
    "bpf_map_size_route": "262144",
    "bpf_map_size_conntrack": "512000",
    "bpf_map_size_per_cpu_conntrack": "0",
    "bpf_map_size_conntrack_scaling": "DoubleIfFull",
    "bpf_map_size_conntrack_cleanup_queue": "100000",
    "bpf_map_size_ip_sets": "1048576",
    "bpf_map_size_if_state": "1000",
    "bpf_host_conntrack_bypass": "false",
    "bpf_ip_fragment_reassembly_enabled": "true",
    "bpf_enforce_rpf": "Loose",
    "bpf_policy_debug_enabled": "true",
    "bpf_force_track_packets_from_ifaces": "docker+",
    "bpf_export_buffer_size_mb": "1",
    "bpf_redirect_to_peer": "Enabled",
    "bpf_attach_type": "Netkit",
    "bpf_profiling": "Disabled",
    "bpf_maglev_max_endpoints_per_service": "100",
    "bpf_maglev_max_services": "100",
}
"""What stands for absent fields of FelixConfigurationSpec."""

WHEN_ABSENT: WhenAbsent = {
    BPFConntrackTimeouts: {
        "creation_grace_period": "10s",
        "tcp_syn_sent": "20s",
        "tcp_established": "1h",
        "tcp_fins_seen": "Auto",
        "tcp_reset_seen": "40s",
        "udp_timeout": "60s",
        "generic_timeout": "10m",
        "icmp_timeout": "5s",
    }
}
