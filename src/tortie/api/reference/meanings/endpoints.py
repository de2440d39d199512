"""What the fields of endpoints, network sets and migrations mean."""

from __future__ import annotations

from tortie.api.hostendpoint import HostEndpointSpec, NamedPort
from tortie.api.livemigration import (
    LiveMigrationSpec,
    MigrationSource,
    MigrationTarget,
    WorkloadEndpointIdentifier,
    WorkloadIdentifier,
)
from tortie.api.networkset import NetworkSetSpec
from tortie.api.reference.meaning import Meanings, WhenAbsent
from tortie.api.workloadendpoint import IPNAT, EndpointPort, QoSControls, WorkloadEndpointSpec

_WORKLOAD = {
    "hostname": "The node that the workload is on.",
    "orchestrator_id": "Name of the orchestrator that runs it.",
    "workload_id": "What the orchestrator calls it.",
}


def _limits(direction: str, what: str) -> dict[str, str]:
    """The limits of one direction."""
    return {
        f"{direction}_bandwidth": f"Bits a second that the workload may {what} in the long run; 0 is no limit.",
        f"{direction}_burst": f"Bits that it may {what} at once beyond its bandwidth.",
        f"{direction}_peakrate": f"Bits a second that it may {what} even in a burst; 0 is no limit.",
        f"{direction}_minburst": f"Bits that it may {what} at once beyond the peak rate.",
        f"{direction}_packet_rate": f"Packets a second that it may {what} in the long run; 0 is no limit.",
        f"{direction}_packet_burst": f"Packets that it may {what} at once beyond the packet rate.",
    }


MEANINGS: Meanings = {
    NetworkSetSpec: {"nets": "The prefixes and addresses of the set, of either family."},
    HostEndpointSpec: {
        "node": "The node that the interface is on.",
        "interface_name": "The interface; `*` is all of the host, and empty is the one that has the `expectedIPs`.",
        "expected_ips": "Addresses of the endpoint: rules that select its labels match them, and they can find its "
        "interface.",
        "profiles": "Profiles that it inherits labels and rules from, the first one's rules first.",
        "ports": "Ports that rules can call by a name.",
    },
    NamedPort: {
        "name": "What rules call the port.",
        "protocol": "Its protocol.",
        "port": "Its number.",
    },
    WorkloadEndpointSpec: {
        "orchestrator": "Who runs the workload, such as k8s, cni or openstack.",
        "workload": "What the orchestrator calls the workload.",
        "node": "The node that the workload is on.",
        "container_id": "The container, as the CNI plugin was told.",
        "pod": "The pod, where the orchestrator is Kubernetes.",
        "endpoint": "Which of the workload's interfaces this is, such as eth0.",
        "service_account_name": "The service account of the pod.",
        "ip_networks": "The endpoint's addresses, as prefixes of one address each.",
        "ip_nats": "Floating addresses that lead to addresses of this endpoint.",
        "ipv4_gateway": "The IPv4 gateway that the workload was given.",
        "ipv6_gateway": "The IPv6 gateway that the workload was given.",
        "profiles": "Profiles that it inherits labels and rules from, the first one's rules first.",
        "interface_name": "The host's end of the interface.",
        "mac": "The MAC address of the workload's end.",
        "ports": "Ports that rules can call by a name.",
        "allow_spoofed_source_prefixes": "Prefixes from which the workload may send beside its own addresses.",
        "qos_controls": "Limits and marks of the workload's traffic.",
    },
    EndpointPort: {
        "name": "What rules call the port.",
        "protocol": "Its protocol.",
        "port": "Its number in the workload.",
        "host_port": "The host's port that leads to it, for information; 0 is none.",
        "host_ip": "The host's address that leads to it, for information.",
    },
    IPNAT: {
        "internal_ip": "An address of the endpoint.",
        "external_ip": "The floating address, of the same family, that leads to it.",
    },
    QoSControls: {
        **_limits("ingress", "receive"),
        **_limits("egress", "send"),
        "ingress_max_connections": "Connections to the workload at one time; 0 is no limit.",
        "egress_max_connections": "Connections from the workload at one time; 0 is no limit.",
        "dscp": "The differentiated services code point of what leaves the cluster.",
    },
    LiveMigrationSpec: {
        "source": "What moves.",
        "target": "What it becomes.",
    },
    MigrationSource: {
        "workload": "A workload with all of its endpoints.",
        "workload_endpoint": "One endpoint.",
    },
    MigrationTarget: {
        "selector": "Labels of the endpoints that arrive.",
        "workload_endpoint": "The endpoint that arrives.",
    },
    WorkloadIdentifier: _WORKLOAD,
    WorkloadEndpointIdentifier: _WORKLOAD | {"endpoint_id": "Which of the workload's interfaces is meant."},
}

WHEN_ABSENT: WhenAbsent = {}
