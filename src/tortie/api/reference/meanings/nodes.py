"""What the fields of nodes, their reports and the cluster's own facts mean."""

from __future__ import annotations

from tortie.api.caliconodestatus import (
    AgentStatus,
    BGPDaemonStatus,
    BGPStatus,
    CalicoNodeStatusSpec,
    CalicoNodeStatusStatus,
    LearnedFrom,
    PeerStatus,
    RoutesStatus,
    RouteStatus,
)
from tortie.api.clusterinformation import ClusterInformationSpec
from tortie.api.node import NodeAddress, NodeBGP, NodeInterface, NodeSpec, NodeStatus, NodeWireguard, OrchRef
from tortie.api.reference.meaning import Meanings, WhenAbsent

MEANINGS: Meanings = {
    NodeSpec: {
        "bgp": "The node's addresses and its identity in BGP; without it the node takes no part in routing.",
        "ipv4_vxlan_tunnel_addr": "IPv4 address of the VXLAN device; set by the node's agent.",
        "vxlan_tunnel_mac_addr": "MAC address of the VXLAN device; set by the node's agent.",
        "ipv6_vxlan_tunnel_addr": "IPv6 address of the VXLAN device; set by the node's agent.",
        "vxlan_tunnel_mac_addr_v6": "MAC address of the IPv6 VXLAN device; set by the node's agent.",
        "orch_refs": "What orchestrators call the node.",
        "wireguard": "Addresses of the WireGuard devices; set by the node's agent.",
        "addresses": "Every address by which the node is known.",
        "interfaces": "Network interfaces of the node, with their addresses.",
    },
    NodeBGP: {
        "as_number": "The node's AS number.",
        "ipv4_address": "The node's IPv4 address with the length of its subnet, such as 10.0.0.5/24.",
        "ipv6_address": "The node's IPv6 address with the length of its subnet, such as fd00::5/64.",
        "ipv4_ipip_tunnel_addr": "Address of the IP-in-IP device; set by the node's agent.",
        "route_reflector_cluster_id": "Makes the node a route reflector, of the cluster with this id (written as an "
        "IPv4 address).",
    },
    OrchRef: {
        "node_name": "The node's name there.",
        "orchestrator": "The orchestrator, such as k8s.",
    },
    NodeWireguard: {
        "interface_ipv4_address": "IPv4 address of the WireGuard device.",
        "interface_ipv6_address": "IPv6 address of the WireGuard device.",
    },
    NodeAddress: {
        "address": "The address.",
        "type": "Where it is known from: this project's own settings, or Kubernetes as internal or external.",
    },
    NodeInterface: {
        "name": "Name of the interface.",
        "addresses": "Its addresses.",
    },
    NodeStatus: {
        "wireguard_public_key": "Public key of the WireGuard device; set by the node's agent.",
        "wireguard_public_key_v6": "Public key of the IPv6 WireGuard device; set by the node's agent.",
        "pod_cidrs": "Prefixes that Kubernetes gave the node for its pods.",
    },
    ClusterInformationSpec: {
        "cluster_guid": "The cluster's identity, made once.",
        "cluster_type": "Words for how the cluster was made, joined by commas.",
        "calico_version": "Version of the software that last prepared the datastore.",
        "datastore_ready": "Whether agents may act on the datastore; false locks it, as for a migration.",
        "variant": "Which distribution of the software it is.",
    },
    CalicoNodeStatusSpec: {
        "node": "The node that is asked.",
        "classes": "What it is asked for.",
        "update_period_seconds": "Seconds between two answers; 0 asks for no more.",
    },
    CalicoNodeStatusStatus: {
        "last_updated": "When the node last answered.",
        "agent": "The state of its BGP daemon.",
        "bgp": "Its BGP sessions.",
        "routes": "Routes that its BGP daemon knows.",
    },
    AgentStatus: {
        "bird_v4": "The BGP daemon for IPv4.",
        "bird_v6": "The BGP daemon for IPv6.",
    },
    BGPDaemonStatus: {
        "state": "Whether it is Ready or NotReady.",
        "version": "Its version.",
        "router_id": "Its router id.",
        "last_boot_time": "When it started.",
        "last_reconfiguration_time": "When it last read its configuration.",
    },
    BGPStatus: {
        "number_established_v4": "IPv4 sessions that are established.",
        "number_not_established_v4": "IPv4 sessions that are not.",
        "number_established_v6": "IPv6 sessions that are established.",
        "number_not_established_v6": "IPv6 sessions that are not.",
        "peers_v4": "The IPv4 sessions, one by one.",
        "peers_v6": "The IPv6 sessions, one by one.",
    },
    PeerStatus: {
        "peer_ip": "Address of the peer.",
        "type": "Where the session comes from: NodeMesh, NodePeer or GlobalPeer.",
        "state": "A state of RFC 4271, such as Established, or Close.",
        "since": "Since when it has that state.",
    },
    RoutesStatus: {
        "routes_v4": "IPv4 routes.",
        "routes_v6": "IPv6 routes.",
    },
    RouteStatus: {
        "type": "FIB for a route in use, RIB for one in reserve.",
        "destination": "The prefix that is reached.",
        "gateway": "The next hop.",
        "interface": "The interface it leaves by.",
        "learned_from": "Where the route is known from.",
    },
    LearnedFrom: {
        "source_type": "Kernel, Static, Direct, NodeMesh or BGPPeer.",
        "peer_ip": "Address of the peer that announced it.",
    },
}

WHEN_ABSENT: WhenAbsent = {
    NodeBGP: {"as_number": "that of the BGPConfiguration, else 64512"},
    ClusterInformationSpec: {"datastore_ready": "true"},
}
