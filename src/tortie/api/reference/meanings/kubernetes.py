"""What the fields of Kubernetes' own kinds mean, as far as they are kept."""

from __future__ import annotations

from tortie.api.endpointslice import (
    Backend,
    BackendPort,
    EndpointConditions,
    EndpointHints,
    EndpointSlice,
    ObjectReference,
    Zone,
)
from tortie.api.pod import Container, ContainerPort, PodIP, PodSpec, PodStatus
from tortie.api.reference.meaning import Meanings, WhenAbsent
from tortie.api.service import (
    ClientIPConfig,
    LoadBalancerIngress,
    LoadBalancerStatus,
    PortStatus,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

MEANINGS: Meanings = {
    ServiceSpec: {
        "ports": "Ports of the service.",
        "selector": "Labels of its pods; its backends here are those of its EndpointSlices, whatever it says.",
        "cluster_ip": "The service's first address inside the cluster; None for one without.",
        "cluster_ips": "All of its addresses inside the cluster, one a family.",
        "type": "How the service can be reached.",
        "external_ips": "Addresses outside the cluster's own care that lead to the service.",
        "session_affinity": "Whether a client keeps its backend: ClientIP or None.",
        "load_balancer_ip": "The address that a load balancer is asked for.",
        "load_balancer_source_ranges": "Clients that a load balancer lets in; none means all.",
        "external_name": "The name that stands for the service, of type ExternalName.",
        "external_traffic_policy": "Whether traffic from outside may go to any backend (Cluster) or to the node's own "
        "(Local).",
        "health_check_node_port": "Port at which a node tells whether it has backends.",
        "publish_not_ready_addresses": "Whether backends count before they are ready.",
        "session_affinity_config": "Settings of session affinity.",
        "ip_families": "Families of the service, IPv4 and IPv6, the first one preferred.",
        "ip_family_policy": "Whether it has one family or two.",
        "allocate_load_balancer_node_ports": "Whether a load balancer needs ports on the nodes.",
        "load_balancer_class": "Which load balancer is to serve it.",
        "internal_traffic_policy": "Whether traffic from inside may go to any backend (Cluster) or to the node's own "
        "(Local).",
        "traffic_distribution": "A wish about which backends are near.",
    },
    ServicePort: {
        "name": "Name of the port, unique in the service.",
        "protocol": "Its protocol.",
        "app_protocol": "What is spoken above it.",
        "port": "Number at the service's address.",
        "target_port": "Number, or name, of the port of the backends.",
        "node_port": "Number at the nodes' addresses.",
    },
    SessionAffinityConfig: {"client_ip": "Settings of affinity by the client's address."},
    ClientIPConfig: {"timeout_seconds": "Seconds after which a client may get another backend."},
    ServiceStatus: {
        "load_balancer": "Where the load balancer is reached.",
        "conditions": "Observations of controllers.",
    },
    LoadBalancerStatus: {"ingress": "Its addresses and names."},
    LoadBalancerIngress: {
        "ip": "An address that leads to it.",
        "hostname": "A name that leads to it.",
        "ip_mode": "Whether the address is translated on the way (VIP) or not (Proxy).",
        "ports": "How each port does.",
    },
    PortStatus: {
        "port": "Number of the port.",
        "protocol": "Its protocol.",
        "error": "What is wrong with it, in one word.",
    },
    EndpointSlice: {
        "address_type": "The kind of all addresses in the slice; names (FQDN) are not used.",
        "endpoints": "The backends.",
        "ports": "Ports that every backend of the slice serves.",
    },
    Backend: {
        "addresses": "Addresses of the backend, which stand for each other.",
        "conditions": "How the backend does.",
        "hostname": "Its name within the service.",
        "target_ref": "The object behind it, a pod as a rule.",
        "deprecated_topology": "Where it is, in the form of an older version.",
        "node_name": "The node that it is on.",
        "zone": "The zone that it is in.",
        "hints": "Who should use it.",
    },
    EndpointConditions: {
        "ready": "Whether it takes traffic; unknown counts as ready.",
        "serving": "Whether it answers, even on its way out.",
        "terminating": "Whether it is on its way out.",
    },
    ObjectReference: {
        "kind": "Kind of the object.",
        "namespace": "Its namespace.",
        "name": "Its name.",
        "uid": "Its identity.",
        "api_version": "Its API version.",
        "resource_version": "The revision that is meant.",
        "field_path": "The part of it that is meant.",
    },
    EndpointHints: {
        "for_zones": "Zones that should use it.",
        "for_nodes": "Nodes that should use it.",
    },
    Zone: {"name": "Name of the zone or node."},
    BackendPort: {
        "name": "Name of the port, that of the service's port.",
        "protocol": "Its protocol.",
        "port": "Its number; none means every port.",
        "app_protocol": "What is spoken above it.",
    },
    PodSpec: {
        "node_name": "The node that the pod runs on.",
        "host_network": "Whether it uses the node's network, and so has no endpoint of its own.",
        "service_account_name": "The service account that it runs as.",
        "containers": "Its containers.",
        "init_containers": "Containers that run before these.",
    },
    Container: {
        "name": "Name of the container.",
        "ports": "Ports that it serves.",
    },
    ContainerPort: {
        "name": "What rules call the port.",
        "host_port": "The node's port that leads to it; 0 is none.",
        "container_port": "Its number.",
        "protocol": "Its protocol.",
        "host_ip": "The node's address that leads to it.",
    },
    PodStatus: {
        "phase": "How far the pod has come, such as Running.",
        "pod_ip": "Its first address.",
        "pod_ips": "All of its addresses, one a family.",
    },
    PodIP: {"ip": "The address."},
}

WHEN_ABSENT: WhenAbsent = {
    ServiceSpec: {"type": "ClusterIP"},
    ServicePort: {"protocol": "TCP", "target_port": "the same as port"},
    BackendPort: {"protocol": "TCP"},
    ContainerPort: {"protocol": "TCP"},
}
