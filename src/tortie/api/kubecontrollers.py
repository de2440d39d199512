"""KubeControllersConfiguration: which cluster-wide controllers run, and how."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class HostEndpointTemplate(Model, frozen=True, kw_only=True):
    """Host endpoints to make on the selected nodes.

    `interface_pattern` is a regular expression: one endpoint for each interface that it matches;
    `interface_cidrs` choose among the node's addresses.
    """

    generate_name: str = ""
    interface_cidrs: tuple[str, ...] = msgspec.field(default=(), name="interfaceCIDRs")
    interface_pattern: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    node_selector: str = ""


class AutoHostEndpoints(Model, frozen=True, kw_only=True):
    """Host endpoints that are made for every node; both switches are Enabled or Disabled."""

    auto_create: str = ""
    create_default_host_endpoint: str = ""
    templates: tuple[HostEndpointTemplate, ...] = ()


class NodeController(Model, frozen=True, kw_only=True):
    """Cleans up after nodes that are gone; a `leak_grace_period` of zero never collects addresses."""

    reconciler_period: str | None = None
    sync_labels: str = ""
    host_endpoint: AutoHostEndpoints | None = None
    leak_grace_period: str | None = None


class PeriodicController(Model, frozen=True, kw_only=True):
    """A controller with nothing but the duration between two full passes."""

    reconciler_period: str | None = None


class LoadBalancerController(Model, frozen=True, kw_only=True):
    """`assign_ips` is AllServices or RequestedServicesOnly."""

    assign_ips: str = msgspec.field(default="", name="assignIPs")


class MigrationController(Model, frozen=True, kw_only=True):
    """`policy_name_migrator` is Enabled or Disabled."""

    policy_name_migrator: str = ""


class Controllers(Model, frozen=True, kw_only=True):
    """A controller without settings is off."""

    node: NodeController | None = None
    policy: PeriodicController | None = None
    workload_endpoint: PeriodicController | None = None
    service_account: PeriodicController | None = None
    namespace: PeriodicController | None = None
    load_balancer: LoadBalancerController | None = None
    migration: MigrationController | None = None


class KubeControllersConfigurationSpec(Model, frozen=True, kw_only=True):
    """Ports and the compaction period of zero mean off."""

    log_severity_screen: str = ""
    health_checks: str = ""
    etcd_v3_compaction_period: str | None = None
    prometheus_metrics_port: int | None = None
    controllers: Controllers = msgspec.field(default_factory=Controllers)
    debug_profile_port: int | None = None


class KubeControllersConfigurationStatus(Model, frozen=True, kw_only=True):
    """What really runs, and the environment that had a say in it."""

    running_config: KubeControllersConfigurationSpec | None = None
    environment_vars: dict[str, str] = {}


class KubeControllersConfiguration(Resource, frozen=True, kw_only=True):
    """Controller settings; only the one named `default` is read."""

    kind: ClassVar[str] = "KubeControllersConfiguration"
    plural: ClassVar[str] = "kubecontrollersconfigurations"
    aliases: ClassVar[tuple[str, ...]] = ("kcc", "kccs")

    spec: KubeControllersConfigurationSpec = msgspec.field(default_factory=KubeControllersConfigurationSpec)
    status: KubeControllersConfigurationStatus = msgspec.field(default_factory=KubeControllersConfigurationStatus)
