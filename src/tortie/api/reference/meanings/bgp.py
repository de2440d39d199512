"""What the fields of BGP configurations, peers and filters mean."""

from __future__ import annotations

from tortie.api.bgp import (
    BGPConfigurationSpec,
    BGPPassword,
    BGPPeerSpec,
    CidrEntry,
    Community,
    PrefixAdvertisement,
    SecretKeyRef,
)
from tortie.api.bgpfilter import (
    AddCommunity,
    BGPFilterSpec,
    CommunityMatch,
    FilterOperation,
    FilterRuleV4,
    FilterRuleV6,
    PrefixLengths,
    PrependASPath,
    SetPriority,
)
from tortie.api.reference.meaning import Meanings, WhenAbsent

_FILTER_RULE = {
    "cidr": "A prefix to compare the route's with.",
    "prefix_length": "Bounds for the length of the route's prefix.",
    "source": "Where the route comes from: RemotePeers are those outside the cluster's mesh.",
    "interface": "The interface of the route; `*` stands for any characters.",
    "match_operator": "How the route's prefix relates to `cidr`: the same or not, inside or not.",
    "peer_type": "Whether the session is with another AS (eBGP) or the same (iBGP).",
    "communities": "A community that the route carries.",
    "as_path_prefix": "AS numbers that the route's path begins with.",
    "priority": "The priority of the route in the kernel.",
    "action": "What is done with a route that matches.",
    "operations": "How an accepted route is changed, in order.",
}

MEANINGS: Meanings = {
    BGPConfigurationSpec: {
        "log_severity_screen": "The least severity of messages that the BGP part writes.",
        "node_to_node_mesh_enabled": "Whether every node has a session with every other.",
        "as_number": "The AS number of nodes that have none of their own.",
        "service_load_balancer_ips": "Prefixes whose load balancer addresses are announced.",
        "service_external_ips": "Prefixes whose external addresses of services are announced.",
        "service_cluster_ips": "Prefixes of cluster addresses of services that are announced.",
        "service_load_balancer_aggregation": "Whether load balancer prefixes are announced as a whole, or address by "
        "address.",
        "communities": "Communities that can be called by a name.",
        "prefix_advertisements": "Communities for announced routes, by prefix.",
        "listen_port": "The TCP port that the BGP daemon listens on.",
        "node_mesh_password": "The TCP-MD5 password of the sessions between nodes.",
        "node_mesh_max_restart_time": "How long nodes keep each other's routes while one restarts.",
        "bind_mode": "Whether the BGP daemon listens on every address (None) or on the node's own (NodeIP).",
        "ignored_interfaces": "Interfaces whose addresses are not announced; `*` stands for any characters.",
        "local_workload_peering_ipv4": "The IPv4 address at which workloads reach the BGP daemon of their node.",
        "local_workload_peering_ipv6": "The IPv6 address at which workloads reach the BGP daemon of their node.",
        "program_cluster_routes": "Which routes to other nodes the BGP daemon writes into the kernel, rather than the "
        "agent.",
        "ipv4_normal_route_priority": "Priority of IPv4 routes in the kernel; the larger number loses.",
        "ipv6_normal_route_priority": "Priority of IPv6 routes in the kernel; the larger number loses.",
    },
    CidrEntry: {"cidr": "The prefix."},
    Community: {
        "name": "What `prefixAdvertisements` call it.",
        "value": "The community: standard `aa:nn` or large `aa:nn:mm`.",
    },
    PrefixAdvertisement: {
        "cidr": "Routes inside this prefix are meant.",
        "communities": "Communities that they carry, by name or value.",
    },
    BGPPassword: {"secret_key_ref": "The Secret that holds the password."},
    SecretKeyRef: {
        "name": "Name of the Secret.",
        "key": "Which of its keys.",
        "optional": "Whether the Secret or its key may be missing.",
    },
    BGPPeerSpec: {
        "node": "The one node that peers; all do when neither this nor `nodeSelector` is given.",
        "node_selector": "Labels of the nodes that peer.",
        "peer_ip": "Address of the peer, with a port when it is not 179.",
        "as_number": "AS number of the peer.",
        "local_as_number": "AS number that the node shows to this peer instead of its own.",
        "peer_selector": "Labels of nodes that are the peers.",
        "keep_original_next_hop": "Whether next hops are left as they are; `nextHopMode` is the newer way to say it.",
        "next_hop_mode": "Whether the node names itself as the next hop (Self), leaves it (Keep), or by BGP's "
        "usual rules (Auto).",
        "password": "The TCP-MD5 password of the session.",
        "source_address": "The address that the session comes from: the node's own, or whatever the kernel chooses.",
        "max_restart_time": "How long routes are kept while the peer restarts.",
        "keepalive_time": "Time between two signs of life.",
        "num_allowed_local_as_numbers": "How often the own AS number may stand in the path of a route that is taken.",
        "ttl_security": "Hops that the peer may be away, by the TTL of its packets; 0 does not check.",
        "reachable_by": "Gateway through which the peer is reached.",
        "filters": "BGPFilters for the session, in order.",
        "local_workload_selector": "Labels of local workloads that are the peers.",
        "reverse_peering": "Whether the selected nodes peer back by themselves (Auto) or by BGPPeers of their own "
        "(Manual).",
    },
    BGPFilterSpec: {
        "export_v4": "Rules for IPv4 routes given to the peer, in order; a route that none matches goes on.",
        "import_v4": "Rules for IPv4 routes taken from the peer, in order; a route that none matches goes on.",
        "export_v6": "Rules for IPv6 routes given to the peer, in order; a route that none matches goes on.",
        "import_v6": "Rules for IPv6 routes taken from the peer, in order; a route that none matches goes on.",
    },
    FilterRuleV4: _FILTER_RULE,
    FilterRuleV6: _FILTER_RULE,
    PrefixLengths: {
        "min": "The shortest prefix, itself included.",
        "max": "The longest prefix, itself included.",
    },
    CommunityMatch: {"values": "The community."},
    FilterOperation: {
        "add_community": "Adds a community.",
        "prepend_as_path": "Puts AS numbers before the path.",
        "set_priority": "Sets the priority in the kernel.",
    },
    AddCommunity: {"value": "The community: standard `aa:nn` or large `aa:nn:mm`."},
    PrependASPath: {"prefix": "The AS numbers, in the order in which they will stand."},
    SetPriority: {"value": "The priority; the larger number loses."},
}

WHEN_ABSENT: WhenAbsent = {
    BGPConfigurationSpec: {
        "node_to_node_mesh_enabled": "true",
        "as_number": "64512",
        "listen_port": "179",
        "node_mesh_max_restart_time": "120s",
        "bind_mode": "None",
        "program_cluster_routes": "EnabledNoEncapOnly",
        "ipv4_normal_route_priority": "1024",
        "ipv6_normal_route_priority": "1024",
    },
    BGPPeerSpec: {
        "next_hop_mode": "Auto",
        "source_address": "UseNodeIP",
        "reverse_peering": "Auto",
    },
}
