"""Constraints between fields of settings: of agents, controllers, address management and the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.api.clusterinformation import ClusterInformation
from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.expressions import is_true
from tortie.api.felixconfiguration import (
    FelixConfiguration,
    FelixConfigurationSpec,
    FirstRouteTables,
    RouteTableRange,
)
from tortie.api.ipamconfiguration import IPAMConfiguration, IPAMConfigurationSpec
from tortie.api.kubecontrollers import KubeControllersConfiguration
from tortie.api.livemigration import MigrationSource, MigrationTarget

MOST_ROUTE_TABLES = 65_535
"""Route tables that all ranges of a FelixConfiguration may hold together."""

_RANGE = (Constraint("max", lambda tables: tables.max < tables.min, "is smaller than min", cel="self.max >= self.min"),)


def _is_for_fixed_nodes(felix: FelixConfiguration) -> bool:
    return felix.metadata.name == "default" or felix.metadata.name.startswith("node.")


def _felix_search(spec: FelixConfigurationSpec) -> Iterator[Finding]:
    tables = sum(max(0, one.max - one.min + 1) for one in spec.route_table_ranges or ())
    if tables > MOST_ROUTE_TABLES:
        yield "routeTableRanges", f"hold {tables} tables", f"{MOST_ROUTE_TABLES} at most"


_ONLY_DEFAULT = (
    Constraint(
        "metadata.name",
        lambda resource: resource.metadata.name not in ("", "default"),
        "must be default",
        "there is one of this kind",
        "self.metadata.name == 'default'",
    ),
)

CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {
    ClusterInformation: _ONLY_DEFAULT,
    IPAMConfiguration: _ONLY_DEFAULT,
    KubeControllersConfiguration: _ONLY_DEFAULT,
    IPAMConfigurationSpec: (
        Constraint(
            "autoAllocateBlocks",
            lambda spec: not spec.auto_allocate_blocks and not spec.strict_affinity,
            "cannot be false without strictAffinity",
            cel=f"{is_true('autoAllocateBlocks')} || {is_true('strictAffinity')}",
        ),
        Constraint(
            "maxBlocksPerHost",
            lambda spec: spec.max_blocks_per_host > 0 and not spec.strict_affinity,
            "needs strictAffinity",
            "set strictAffinity to true, or leave it out",
            f"!has(self.maxBlocksPerHost) || self.maxBlocksPerHost <= 0 || {is_true('strictAffinity')}",
        ),
    ),
    MigrationSource: (
        Constraint(
            "",
            lambda source: (source.workload is None) is (source.workload_endpoint is None),
            "needs exactly one of workload and workloadEndpoint",
        ),
    ),
    MigrationTarget: (
        Constraint(
            "",
            lambda target: (target.selector is None) is (target.workload_endpoint is None),
            "needs exactly one of selector and workloadEndpoint",
        ),
    ),
    FelixConfiguration: (
        Constraint(
            "spec.nodeSelector",
            lambda felix: felix.spec.node_selector is not None and _is_for_fixed_nodes(felix),
            "cannot be set here: the name says which nodes are meant",
            "leave it out, or choose another name",
            "!has(self.spec) || !has(self.spec.nodeSelector) || "
            "!(self.metadata.name == 'default' || self.metadata.name.startsWith('node.'))",
        ),
    ),
    FelixConfigurationSpec: (
        Constraint(
            "routeTableRange",
            lambda spec: spec.route_table_range is not None and spec.route_table_ranges is not None,
            "cannot be given together with routeTableRanges",
            "leave it out: it is the older form",
            "!has(self.routeTableRange) || !has(self.routeTableRanges)",
        ),
    ),
    RouteTableRange: _RANGE,
    FirstRouteTables: _RANGE,
}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {
    FelixConfigurationSpec: _felix_search,
}
"""What takes more than one sentence, by struct."""
