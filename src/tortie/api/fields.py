"""The table of fields: what each may hold, for every struct that a person can write."""

from __future__ import annotations

import msgspec

from tortie.api import formats as f
from tortie.api.bgp import (
    BGPConfigurationSpec,
    BGPPeerSpec,
    CidrEntry,
    Community,
    PrefixAdvertisement,
    SecretKeyRef,
)
from tortie.api.bgpfilter import (
    AddCommunity,
    CommunityMatch,
    FilterRuleV4,
    FilterRuleV6,
    PrependASPath,
    SetPriority,
)
from tortie.api.caliconodestatus import CalicoNodeStatusStatus
from tortie.api.felix_fields import FELIX_FIELDS
from tortie.api.field import (
    ANNOTATIONS,
    COUNT,
    ENABLED,
    ENCAPSULATION,
    LABELS,
    NAMESPACE_SELECTOR,
    ROUTE_PRIORITY,
    RULES,
    SELECTOR,
    Field,
    listed,
    one,
)
from tortie.api.hostendpoint import HostEndpointSpec, NamedPort
from tortie.api.ippool import IPPoolSpec
from tortie.api.ipreservation import IPReservationSpec
from tortie.api.kubernetes_fields import KUBERNETES_FIELDS
from tortie.api.networkset import NetworkSetSpec
from tortie.api.node import NodeAddress, NodeBGP, NodeInterface, NodeSpec, NodeStatus, NodeWireguard
from tortie.api.policy import GlobalNetworkPolicySpec, NetworkPolicySpec
from tortie.api.profile import ProfileSpec
from tortie.api.resource import Condition, ManagedFields, Metadata
from tortie.api.rules import (
    ICMP,
    EntityRule,
    HTTPMatch,
    HTTPPath,
    Rule,
    RuleMetadata,
    ServiceAccountMatch,
    ServiceMatch,
)
from tortie.api.settings_fields import SETTINGS_FIELDS
from tortie.api.stagedkubernetespolicy import (
    IPBlock,
    LabelRequirement,
    LabelSelector,
    PolicyPort,
    StagedKubernetesNetworkPolicySpec,
)
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicySpec, StagedNetworkPolicySpec
from tortie.api.tier import TierSpec
from tortie.api.timestamps import TIMESTAMP
from tortie.api.workloadendpoint import IPNAT, EndpointPort, QoSControls, WorkloadEndpointSpec

POLICY_FIELDS = {
    "tier": one(f.TIER_NAME),
    "ingress": RULES,
    "egress": RULES,
    "selector": SELECTOR,
    "types": listed(f.one_of("Ingress", "Egress"), most=2),
    "service_account_selector": SELECTOR,
    "performance_hints": listed(f.one_of("AssumeNeededOnEveryNode")),
}

GLOBAL_POLICY_FIELDS = {**POLICY_FIELDS, "namespace_selector": SELECTOR}
STAGED = {"staged_action": one(f.one_of("Set", "Delete", "Learn", "Ignore"))}

FILTER_RULE_FIELDS = {
    "source": one(f.one_of("RemotePeers")),
    "interface": one(f.INTERFACE_GLOB),
    "match_operator": one(f.one_of("Equal", "NotEqual", "In", "NotIn")),
    "peer_type": one(f.one_of("eBGP", "iBGP")),
    "as_path_prefix": one(f.AS_NUMBER),
    "priority": ROUTE_PRIORITY,
    "action": Field(format=f.one_of("Accept", "Reject"), required=True),
    "operations": Field(most=10),
}

FIELDS: dict[type[msgspec.Struct], dict[str, Field]] = {
    Metadata: {
        "creation_timestamp": one(TIMESTAMP),
        "deletion_timestamp": one(TIMESTAMP),
        "labels": LABELS,
        "annotations": ANNOTATIONS,
    },
    ManagedFields: {"time": one(TIMESTAMP)},
    Condition: {"last_transition_time": one(TIMESTAMP)},
    CalicoNodeStatusStatus: {"last_updated": one(TIMESTAMP)},
    NetworkPolicySpec: POLICY_FIELDS,
    GlobalNetworkPolicySpec: GLOBAL_POLICY_FIELDS,
    StagedNetworkPolicySpec: STAGED | POLICY_FIELDS,
    StagedGlobalNetworkPolicySpec: STAGED | GLOBAL_POLICY_FIELDS,
    StagedKubernetesNetworkPolicySpec: STAGED | {"policy_types": listed(f.one_of("Ingress", "Egress"), most=2)},
    LabelSelector: {"match_labels": LABELS},
    LabelRequirement: {
        "key": Field(format=f.LABEL_KEY, required=True),
        "operator": Field(format=f.one_of("In", "NotIn", "Exists", "DoesNotExist"), required=True),
        "values": one(f.LABEL_VALUE),
    },
    IPBlock: {"cidr": Field(format=f.PREFIX, required=True), "except_": one(f.PREFIX)},
    PolicyPort: {
        "protocol": one(f.one_of("TCP", "UDP", "SCTP")),
        "port": one(f.SERVICE_PORT),
        "end_port": one(f.between(1, 65535)),
    },
    ProfileSpec: {"ingress": RULES, "egress": RULES, "labels_to_apply": LABELS},
    TierSpec: {"default_action": one(f.one_of("Deny", "Pass"))},
    Rule: {
        "action": Field(format=f.one_of("Allow", "Deny", "Log", "Pass"), required=True),
        "ip_version": one(f.one_of(4, 6)),
        "protocol": one(f.PROTOCOL),
        "not_protocol": one(f.PROTOCOL),
    },
    RuleMetadata: {"annotations": ANNOTATIONS},
    ICMP: {"type": one(f.between(0, 254)), "code": one(f.between(0, 255))},
    EntityRule: {
        "nets": listed(f.RULE_NET, most=256),
        "not_nets": listed(f.NOT_EVERYTHING, most=256),
        "selector": SELECTOR,
        "not_selector": SELECTOR,
        "namespace_selector": NAMESPACE_SELECTOR,
        "ports": Field(format=f.PORT, most=50),
        "not_ports": Field(format=f.PORT, most=50),
    },
    ServiceMatch: {"name": Field(format=f.NAME, required=True), "namespace": one(f.NAME)},
    ServiceAccountMatch: {"names": Field(format=f.NAME), "selector": SELECTOR},
    HTTPMatch: {"methods": listed(None, most=20), "paths": Field(most=20)},
    HTTPPath: {"exact": one(f.HTTP_PATH), "prefix": one(f.HTTP_PATH)},
    NetworkSetSpec: {"nets": one(f.PREFIX)},
    IPReservationSpec: {"reserved_cidrs": one(f.PREFIX)},
    IPPoolSpec: {
        "cidr": Field(format=f.PREFIX, required=True),
        "vxlan_mode": ENCAPSULATION,
        "ipip_mode": ENCAPSULATION,
        "node_selector": Field(selector="never"),
        "namespace_selector": Field(selector="never"),
        "allowed_uses": listed(f.one_of("Workload", "Tunnel", "LoadBalancer")),
        "assignment_mode": one(f.one_of("Automatic", "Manual")),
    },
    SecretKeyRef: {"key": Field(required=True)},
    CidrEntry: {"cidr": one(f.PREFIX)},
    Community: {"name": Field(required=True), "value": Field(format=f.COMMUNITY, required=True)},
    PrefixAdvertisement: {"cidr": Field(format=f.PREFIX, required=True), "communities": Field(required=True, most=50)},
    BGPConfigurationSpec: {
        "log_severity_screen": one(
            f.one_of("None", "Debug", "Trace", "Info", "Warning", "Warn", "Error", "Fatal", "Panic")
        ),
        "as_number": one(f.AS_NUMBER),
        "service_load_balancer_aggregation": ENABLED,
        "communities": Field(most=500),
        "prefix_advertisements": Field(most=500),
        "listen_port": one(f.between(1, 65535)),
        "node_mesh_max_restart_time": one(f.DURATION),
        "bind_mode": one(f.one_of("None", "NodeIP")),
        "ignored_interfaces": one(f.INTERFACE_PATTERN),
        "local_workload_peering_ipv4": one(f.IPV4_ADDRESS),
        "local_workload_peering_ipv6": one(f.IPV6_ADDRESS),
        "program_cluster_routes": one(f.one_of("Enabled", "Disabled", "EnabledNoEncapOnly", "EnabledIPIPOnly")),
        "ipv4_normal_route_priority": ROUTE_PRIORITY,
        "ipv6_normal_route_priority": ROUTE_PRIORITY,
    },
    BGPPeerSpec: {
        "node": one(f.NAME),
        "node_selector": Field(selector="anywhere"),
        "peer_ip": one(f.PEER),
        "as_number": one(f.AS_NUMBER),
        "local_as_number": one(f.AS_NUMBER),
        "peer_selector": Field(selector="anywhere"),
        "next_hop_mode": one(f.one_of("Auto", "Self", "Keep")),
        "source_address": one(f.one_of("UseNodeIP", "None")),
        "max_restart_time": one(f.DURATION),
        "keepalive_time": one(f.DURATION),
        "num_allowed_local_as_numbers": one(f.between(0, 2**31 - 1)),
        "ttl_security": one(f.between(0, 255)),
        "reachable_by": one(f.ADDRESS),
        "filters": one(f.NAME),
        "local_workload_selector": Field(selector="anywhere"),
        "reverse_peering": one(f.one_of("Auto", "Manual")),
    },
    FilterRuleV4: FILTER_RULE_FIELDS | {"cidr": one(f.IPV4_NET)},
    FilterRuleV6: FILTER_RULE_FIELDS | {"cidr": one(f.IPV6_NET)},
    CommunityMatch: {"values": Field(format=f.COMMUNITY, required=True, most=1)},
    AddCommunity: {"value": Field(format=f.COMMUNITY, required=True)},
    PrependASPath: {"prefix": Field(format=f.AS_NUMBER, required=True, most=10)},
    SetPriority: {"value": Field(format=f.between(1, 2**31 - 2), required=True)},
    NodeSpec: {
        "ipv4_vxlan_tunnel_addr": one(f.IPV4_ADDRESS),
        "ipv6_vxlan_tunnel_addr": one(f.IPV6_ADDRESS),
        "vxlan_tunnel_mac_addr": one(f.MAC),
        "vxlan_tunnel_mac_addr_v6": one(f.MAC),
    },
    NodeBGP: {
        "as_number": one(f.AS_NUMBER),
        "ipv4_address": one(f.IPV4_INTERFACE),
        "ipv6_address": one(f.IPV6_INTERFACE),
        "ipv4_ipip_tunnel_addr": one(f.IPV4_ADDRESS),
        "route_reflector_cluster_id": one(f.IPV4_ADDRESS),
    },
    NodeWireguard: {
        "interface_ipv4_address": one(f.IPV4_ADDRESS),
        "interface_ipv6_address": one(f.IPV6_ADDRESS),
    },
    NodeAddress: {
        "address": Field(format=f.PREFIX, required=True),
        "type": one(f.one_of("CalicoNodeIP", "InternalIP", "ExternalIP")),
    },
    NodeInterface: {"addresses": one(f.PREFIX)},
    NodeStatus: {
        "wireguard_public_key": one(f.WIREGUARD_KEY),
        "wireguard_public_key_v6": one(f.WIREGUARD_KEY),
        "pod_cidrs": one(f.PREFIX),
    },
    WorkloadEndpointSpec: {
        "node": one(f.NAME),
        "container_id": one(f.CONTAINER_ID),
        "ip_networks": one(f.SINGLE_ADDRESS),
        "ipv4_gateway": one(f.IPV4_ADDRESS),
        "ipv6_gateway": one(f.IPV6_ADDRESS),
        "interface_name": one(f.INTERFACE),
        "mac": one(f.MAC),
        "allow_spoofed_source_prefixes": one(f.PREFIX),
    },
    EndpointPort: {
        "name": one(f.PORT_NAME),
        "protocol": Field(format=f.PROTOCOL_WITH_PORTS, required=True),
        "port": Field(format=f.between(1, 65535), required=True),
        "host_port": one(f.between(1, 65535)),
        "host_ip": one(f.ADDRESS),
    },
    HostEndpointSpec: {
        "node": Field(format=f.NAME, required=True),
        "interface_name": one(f.HOST_INTERFACE),
        "expected_ips": one(f.ADDRESS),
        "profiles": one(f.NAME),
    },
    NamedPort: {
        "name": Field(format=f.PORT_NAME, required=True),
        "protocol": Field(format=f.PROTOCOL_WITH_PORTS, required=True),
        "port": Field(format=f.between(1, 65535), required=True),
    },
    IPNAT: {
        "internal_ip": Field(format=f.ADDRESS, required=True),
        "external_ip": Field(format=f.ADDRESS, required=True),
    },
    QoSControls: {name: COUNT for name in QoSControls.__struct_fields__ if name != "dscp"} | {"dscp": one(f.DSCP)},
    **FELIX_FIELDS,
    **SETTINGS_FIELDS,
    **KUBERNETES_FIELDS,
}
"""Fields by struct and attribute; a field that is not listed may hold anything of its type."""
