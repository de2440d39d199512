"""What the fields of KubeControllersConfiguration mean."""

from __future__ import annotations

from tortie.api.kubecontrollers import (
    AutoHostEndpoints,
    Controllers,
    HostEndpointTemplate,
    KubeControllersConfigurationSpec,
    KubeControllersConfigurationStatus,
    LoadBalancerController,
    MigrationController,
    NodeController,
    PeriodicController,
)
from tortie.api.reference.meaning import Meanings, WhenAbsent

MEANINGS: Meanings = {
    KubeControllersConfigurationSpec: {
        "log_severity_screen": "The least severity of messages that the controllers write.",
        "health_checks": "Whether the controllers tell their health.",
        "etcd_v3_compaction_period": "Time between two compactions of etcd; 0 leaves them to others.",
        "prometheus_metrics_port": "Port of the metrics; 0 serves none.",
        "controllers": "Settings of each controller; one without settings does not run.",
        "debug_profile_port": "Port for profiles of the running program, on the loopback address; none without it.",
    },
    KubeControllersConfigurationStatus: {
        "running_config": "The settings that are in effect.",
        "environment_vars": "Environment variables that had a say in them.",
    },
    Controllers: {
        "node": "Cleans up after nodes that are gone, and makes host endpoints.",
        "policy": "Copies Kubernetes policies into the datastore.",
        "workload_endpoint": "Keeps labels of workload endpoints those of their pods.",
        "service_account": "Makes a profile of each service account.",
        "namespace": "Makes a profile of each namespace.",
        "load_balancer": "Gives addresses to services of type LoadBalancer.",
        "migration": "Renews data that older versions wrote.",
    },
    NodeController: {
        "reconciler_period": "Time between two full passes.",
        "sync_labels": "Whether labels of Kubernetes nodes are copied to ours.",
        "host_endpoint": "Host endpoints to make for nodes.",
        "leak_grace_period": "How long an address may seem lost before it is released; 0 never releases one.",
    },
    PeriodicController: {"reconciler_period": "Time between two full passes."},
    LoadBalancerController: {"assign_ips": "Whether every service gets an address, or those that ask for one."},
    MigrationController: {"policy_name_migrator": "Whether policies with names of old writers get their present ones."},
    AutoHostEndpoints: {
        "auto_create": "Whether host endpoints are made for nodes at all.",
        "create_default_host_endpoint": "Whether each node gets one for all of its interfaces.",
        "templates": "Further host endpoints, by patterns.",
    },
    HostEndpointTemplate: {
        "generate_name": "The end of the names of these endpoints, after the node's.",
        "interface_cidrs": "Prefixes that choose among the node's addresses for `expectedIPs`.",
        "interface_pattern": "A regular expression: one endpoint for each interface that it matches.",
        "labels": "Labels of these endpoints.",
        "annotations": "Annotations of these endpoints.",
        "node_selector": "Labels of the nodes that get them.",
    },
}

WHEN_ABSENT: WhenAbsent = {
    HostEndpointTemplate: {"node_selector": "all()"},
}
