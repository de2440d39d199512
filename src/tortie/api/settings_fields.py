"""The table of fields of controller settings, address management, the cluster's own facts and requests."""

from __future__ import annotations

import msgspec

from tortie.api import formats as f
from tortie.api.blockaffinity import BlockAffinitySpec
from tortie.api.caliconodestatus import CalicoNodeStatusSpec
from tortie.api.field import ANNOTATIONS, ENABLED, LABELS, Field, listed, one
from tortie.api.ipamconfiguration import IPAMConfigurationSpec
from tortie.api.kubecontrollers import (
    AutoHostEndpoints,
    HostEndpointTemplate,
    KubeControllersConfigurationSpec,
    LoadBalancerController,
    MigrationController,
    NodeController,
    PeriodicController,
)
from tortie.api.livemigration import MigrationTarget

PERIOD = one(f.DURATION)
PORT = one(f.between(0, 65535))

SETTINGS_FIELDS: dict[type[msgspec.Struct], dict[str, Field]] = {
    KubeControllersConfigurationSpec: {
        "log_severity_screen": one(f.one_of("None", "Debug", "Info", "Warning", "Error", "Fatal", "Panic")),
        "health_checks": ENABLED,
        "etcd_v3_compaction_period": PERIOD,
        "prometheus_metrics_port": PORT,
        "debug_profile_port": PORT,
    },
    NodeController: {"reconciler_period": PERIOD, "sync_labels": ENABLED, "leak_grace_period": PERIOD},
    PeriodicController: {"reconciler_period": PERIOD},
    LoadBalancerController: {"assign_ips": one(f.one_of("AllServices", "RequestedServicesOnly"))},
    MigrationController: {"policy_name_migrator": ENABLED},
    AutoHostEndpoints: {"auto_create": ENABLED, "create_default_host_endpoint": ENABLED},
    HostEndpointTemplate: {
        "generate_name": one(f.NAME),
        "interface_cidrs": listed(f.PREFIX),
        "interface_pattern": one(f.REGEX),
        "labels": LABELS,
        "annotations": ANNOTATIONS,
        "node_selector": Field(selector="anywhere"),
    },
    IPAMConfigurationSpec: {
        "max_blocks_per_host": one(f.between(0, 1_000_000)),
        "kubevirt_vm_address_persistence": ENABLED,
        "ip_cooldown_seconds": one(f.between(0, 1200)),
    },
    BlockAffinitySpec: {
        "state": one(f.one_of("confirmed", "pending", "pendingDeletion")),
        "node": Field(format=f.NAME, required=True),
        "type": one(f.one_of("host", "virtual")),
        "cidr": Field(format=f.RULE_NET, required=True),
    },
    CalicoNodeStatusSpec: {
        "node": Field(format=f.NAME, required=True),
        "classes": Field(format=f.one_of("Agent", "BGP", "Routes"), required=True, unique=True),
        "update_period_seconds": Field(format=f.between(0, 86_400), required=True),
    },
    MigrationTarget: {"selector": Field(selector="never", most=1024)},
}
"""Fields by struct and attribute."""
