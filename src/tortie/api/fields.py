"""The table of fields: what each may hold, for every struct that a person can write."""

from __future__ import annotations

from typing import Literal

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
from tortie.api.ippool import IPPoolSpec
from tortie.api.ipreservation import IPReservationSpec
from tortie.api.networkset import NetworkSetSpec
from tortie.api.node import NodeAddress, NodeBGP, NodeInterface, NodeSpec, NodeStatus, NodeWireguard
from tortie.api.policy import GlobalNetworkPolicySpec, NetworkPolicySpec
from tortie.api.profile import ProfileSpec
from tortie.api.resource import Metadata
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
from tortie.api.tier import TierSpec
from tortie.api.workloadendpoint import IPNAT, EndpointPort, QoSControls, WorkloadEndpointSpec

GlobalUse = Literal["anywhere", "never", "alone"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What one field may hold. An empty field passes, unless it is required.

    Args:
        format: of the value; of each item of a list; of each value of a map.
        keys: format of each key of a map.
        required: whether the field may not be empty.
        most: the largest number of items, or of characters in a text.
        unique: whether no item may come twice.
        selector: where `global()` may stand, for a selector; empty for other fields.
    """

    format: f.Format | None = None
    keys: f.Format | None = None
    required: bool = False
    most: int | None = None
    unique: bool = False
    selector: GlobalUse | Literal[""] = ""


def _one(format: f.Format) -> Field:
    return Field(format=format)


def _list(format: f.Format | None, most: int | None = None) -> Field:
    return Field(format=format, most=most, unique=True)


RULES = Field(most=1024)
SELECTOR = Field(selector="never", most=1024)
NAMESPACE_SELECTOR = Field(selector="alone", most=1024)
LABELS = Field(keys=f.LABEL_KEY, format=f.LABEL_VALUE)
ANNOTATIONS = Field(keys=f.ANNOTATION_KEY)
COUNT = _one(f.between(0, 2**63 - 1))
ROUTE_PRIORITY = _one(f.between(1, 2**31 - 2))
ENABLED = _one(f.one_of("Enabled", "Disabled"))
ENCAPSULATION = _one(f.one_of("Never", "Always", "CrossSubnet"))

POLICY_FIELDS = {
    "tier": _one(f.TIER_NAME),
    "ingress": RULES,
    "egress": RULES,
    "selector": SELECTOR,
    "types": _list(f.one_of("Ingress", "Egress"), most=2),
    "service_account_selector": SELECTOR,
    "performance_hints": _list(f.one_of("AssumeNeededOnEveryNode")),
}

FIELDS: dict[type[msgspec.Struct], dict[str, Field]] = {
    Metadata: {"labels": LABELS, "annotations": ANNOTATIONS},
    NetworkPolicySpec: POLICY_FIELDS,
    GlobalNetworkPolicySpec: {**POLICY_FIELDS, "namespace_selector": SELECTOR},
    ProfileSpec: {"ingress": RULES, "egress": RULES, "labels_to_apply": LABELS},
    TierSpec: {"default_action": _one(f.one_of("Deny", "Pass"))},
    Rule: {
        "action": Field(format=f.one_of("Allow", "Deny", "Log", "Pass"), required=True),
        "ip_version": _one(f.one_of(4, 6)),
        "protocol": _one(f.PROTOCOL),
        "not_protocol": _one(f.PROTOCOL),
    },
    RuleMetadata: {"annotations": ANNOTATIONS},
    ICMP: {"type": _one(f.between(0, 254)), "code": _one(f.between(0, 255))},
    EntityRule: {
        "nets": _list(f.RULE_NET, most=256),
        "not_nets": _list(f.NOT_EVERYTHING, most=256),
        "selector": SELECTOR,
        "not_selector": SELECTOR,
        "namespace_selector": NAMESPACE_SELECTOR,
        "ports": Field(format=f.PORT, most=50),
        "not_ports": Field(format=f.PORT, most=50),
    },
    ServiceMatch: {"name": Field(format=f.NAME, required=True), "namespace": _one(f.NAME)},
    ServiceAccountMatch: {"names": Field(format=f.NAME), "selector": SELECTOR},
    HTTPMatch: {"methods": _list(None, most=20), "paths": Field(most=20)},
    HTTPPath: {"exact": _one(f.HTTP_PATH), "prefix": _one(f.HTTP_PATH)},
    NetworkSetSpec: {"nets": _one(f.PREFIX)},
    IPReservationSpec: {"reserved_cidrs": _one(f.PREFIX)},
    IPPoolSpec: {
        "cidr": Field(format=f.PREFIX, required=True),
        "vxlan_mode": ENCAPSULATION,
        "ipip_mode": ENCAPSULATION,
        "node_selector": Field(selector="never"),
        "namespace_selector": Field(selector="never"),
        "allowed_uses": _list(f.one_of("Workload", "Tunnel", "LoadBalancer")),
        "assignment_mode": _one(f.one_of("Automatic", "Manual")),
    },
    SecretKeyRef: {"key": Field(required=True)},
    CidrEntry: {"cidr": _one(f.PREFIX)},
    Community: {"name": Field(required=True), "value": Field(format=f.COMMUNITY, required=True)},
    PrefixAdvertisement: {"cidr": Field(format=f.PREFIX, required=True), "communities": Field(required=True, most=50)},
    BGPConfigurationSpec: {
        "log_severity_screen": _one(
            f.one_of("None", "Debug", "Trace", "Info", "Warning", "Warn", "Error", "Fatal", "Panic")
        ),
        "as_number": _one(f.AS_NUMBER),
        "service_load_balancer_aggregation": ENABLED,
        "communities": Field(most=500),
        "prefix_advertisements": Field(most=500),
        "listen_port": _one(f.between(1, 65535)),
        "node_mesh_max_restart_time": _one(f.DURATION),
        "bind_mode": _one(f.one_of("None", "NodeIP")),
        "ignored_interfaces": _one(f.INTERFACE_PATTERN),
        "local_workload_peering_ipv4": _one(f.IPV4_ADDRESS),
        "local_workload_peering_ipv6": _one(f.IPV6_ADDRESS),
        "program_cluster_routes": _one(f.one_of("Enabled", "Disabled", "EnabledNoEncapOnly", "EnabledIPIPOnly")),
        "ipv4_normal_route_priority": ROUTE_PRIORITY,
        "ipv6_normal_route_priority": ROUTE_PRIORITY,
    },
    BGPPeerSpec: {
        "node": _one(f.NAME),
        "node_selector": Field(selector="anywhere"),
        "peer_ip": _one(f.PEER),
        "as_number": _one(f.AS_NUMBER),
        "local_as_number": _one(f.AS_NUMBER),
        "peer_selector": Field(selector="anywhere"),
        "next_hop_mode": _one(f.one_of("Auto", "Self", "Keep")),
        "source_address": _one(f.one_of("UseNodeIP", "None")),
        "max_restart_time": _one(f.DURATION),
        "keepalive_time": _one(f.DURATION),
        "num_allowed_local_as_numbers": _one(f.between(0, 2**31 - 1)),
        "ttl_security": _one(f.between(0, 255)),
        "reachable_by": _one(f.ADDRESS),
        "filters": _one(f.NAME),
        "local_workload_selector": Field(selector="anywhere"),
        "reverse_peering": _one(f.one_of("Auto", "Manual")),
    },
    NodeSpec: {
        "ipv4_vxlan_tunnel_addr": _one(f.IPV4_ADDRESS),
        "ipv6_vxlan_tunnel_addr": _one(f.IPV6_ADDRESS),
        "vxlan_tunnel_mac_addr": _one(f.MAC),
        "vxlan_tunnel_mac_addr_v6": _one(f.MAC),
    },
    NodeBGP: {
        "as_number": _one(f.AS_NUMBER),
        "ipv4_address": _one(f.IPV4_INTERFACE),
        "ipv6_address": _one(f.IPV6_INTERFACE),
        "ipv4_ipip_tunnel_addr": _one(f.IPV4_ADDRESS),
        "route_reflector_cluster_id": _one(f.IPV4_ADDRESS),
    },
    NodeWireguard: {
        "interface_ipv4_address": _one(f.IPV4_ADDRESS),
        "interface_ipv6_address": _one(f.IPV6_ADDRESS),
    },
    NodeAddress: {
        "address": Field(format=f.PREFIX, required=True),
        "type": _one(f.one_of("CalicoNodeIP", "InternalIP", "ExternalIP")),
    },
    NodeInterface: {"addresses": _one(f.PREFIX)},
    NodeStatus: {
        "wireguard_public_key": _one(f.WIREGUARD_KEY),
        "wireguard_public_key_v6": _one(f.WIREGUARD_KEY),
        "pod_cidrs": _one(f.PREFIX),
    },
    WorkloadEndpointSpec: {
        "node": _one(f.NAME),
        "container_id": _one(f.CONTAINER_ID),
        "ip_networks": _one(f.SINGLE_ADDRESS),
        "ipv4_gateway": _one(f.IPV4_ADDRESS),
        "ipv6_gateway": _one(f.IPV6_ADDRESS),
        "interface_name": _one(f.INTERFACE),
        "mac": _one(f.MAC),
        "allow_spoofed_source_prefixes": _one(f.PREFIX),
    },
    EndpointPort: {
        "name": _one(f.PORT_NAME),
        "protocol": Field(format=f.PROTOCOL_WITH_PORTS, required=True),
        "port": Field(format=f.between(1, 65535), required=True),
        "host_port": _one(f.between(1, 65535)),
        "host_ip": _one(f.ADDRESS),
    },
    IPNAT: {
        "internal_ip": Field(format=f.ADDRESS, required=True),
        "external_ip": Field(format=f.ADDRESS, required=True),
    },
    QoSControls: {name: COUNT for name in QoSControls.__struct_fields__ if name != "dscp"} | {"dscp": _one(f.DSCP)},
}
"""Fields by struct and attribute; a field that is not listed may hold anything of its type."""
