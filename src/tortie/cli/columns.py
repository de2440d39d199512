"""Which columns `tortie get` shows of each kind: a table of headings and how to get the values."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tortie.api.endpointslice import SERVICE_LABEL
from tortie.api.resource import Resource

Value = Callable[[Any], object]


class Column(msgspec.Struct, frozen=True):
    """One column: `wide` ones are shown by `-o wide` only."""

    heading: str
    value: Value
    wide: bool = False


def _count(field: str) -> Value:
    """How many items a field of the specification holds."""
    return lambda resource: len(getattr(resource.spec, field))


def _enabled(controllers: msgspec.Struct) -> list[str]:
    """Controllers that have settings; the others are off."""
    return [field.encode_name for field in msgspec.structs.fields(controllers) if getattr(controllers, field.name)]


def _migrating(end: Any) -> str:
    """One end of a migration, by the host and workload, or by the selector, that it names."""
    workload = end and (getattr(end, "workload", None) or end.workload_endpoint)
    if workload:
        return f"{workload.hostname}:{workload.workload_id}"
    return (end and getattr(end, "selector", None)) or ""


def _joined(values: Sequence[object]) -> str:
    return ",".join(str(value) for value in values)


def _pairs(labels: Mapping[str, str]) -> str:
    return _joined([f"{name}={value}" for name, value in labels.items()])


def age(timestamp: str | None, now: float) -> str:
    """How long ago a time such as `2026-08-23T09:00:00Z` was, in at most two units, as kubectl writes it."""
    try:
        begin = datetime.fromisoformat(timestamp or "").timestamp()
    except ValueError:
        return ""
    seconds = max(0, int(now - begin))
    for unit, length, finer, until in AGE_UNITS:
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            fraction = rest // _LENGTHS[finer] if whole < until else 0
            return f"{whole}{unit}{fraction}{finer}" if fraction else f"{whole}{unit}"
    return f"{seconds}s"


AGE_UNITS = (("y", 31_536_000, "d", 8), ("d", 86_400, "h", 8), ("h", 3_600, "m", 8), ("m", 60, "s", 10))
"""Units from the coarsest: seconds of each, and the finer unit that is shown too while there are few."""

_LENGTHS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

NAMESPACE = Column("NAMESPACE", lambda resource: resource.metadata.namespace)
NAME = Column("NAME", lambda resource: resource.metadata.name)
KIND_AND_NAME = Column("NAME", lambda resource: f"{resource.kind.lower()}/{resource.metadata.name}")
LABELS = Column("LABELS", lambda resource: _pairs(resource.metadata.labels), wide=True)
LABELS_ALWAYS = Column("LABELS", LABELS.value)
AGE = Column("AGE", lambda resource: age(resource.metadata.creation_timestamp, time.time()), wide=True)

POLICY = (
    Column("TIER", lambda policy: policy.spec.tier),
    Column("ORDER", lambda policy: policy.spec.order),
    Column("TYPES", lambda policy: _joined(policy.spec.types)),
    Column("SELECTOR", lambda policy: policy.spec.selector or "all()", wide=True),
)
STAGED_ACTION = Column("ACTION", lambda policy: policy.spec.staged_action)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "NetworkPolicy": POLICY,
    "GlobalNetworkPolicy": POLICY,
    "StagedNetworkPolicy": (STAGED_ACTION, *POLICY),
    "StagedGlobalNetworkPolicy": (STAGED_ACTION, *POLICY),
    "StagedKubernetesNetworkPolicy": (
        STAGED_ACTION,
        Column("TYPES", lambda policy: _joined(policy.spec.policy_types)),
    ),
    "Tier": (
        Column("ORDER", lambda tier: tier.spec.order),
        Column("DEFAULT ACTION", lambda tier: tier.spec.default_action or "Deny"),
    ),
    "Profile": (Column("LABELS", lambda profile: _pairs(profile.spec.labels_to_apply)),),
    "NetworkSet": (Column("NETS", lambda networks: _joined(networks.spec.nets)),),
    "GlobalNetworkSet": (Column("NETS", lambda networks: _joined(networks.spec.nets)),),
    "HostEndpoint": (
        Column("NODE", lambda endpoint: endpoint.spec.node),
        Column("INTERFACE", lambda endpoint: endpoint.spec.interface_name),
        Column("IPS", lambda endpoint: _joined(endpoint.spec.expected_ips)),
        Column("PROFILES", lambda endpoint: _joined(endpoint.spec.profiles), wide=True),
    ),
    "WorkloadEndpoint": (
        Column("WORKLOAD", lambda endpoint: endpoint.spec.pod or endpoint.spec.workload or endpoint.spec.container_id),
        Column("NODE", lambda endpoint: endpoint.spec.node),
        Column("NETWORKS", lambda endpoint: _joined(endpoint.spec.ip_networks)),
        Column("INTERFACE", lambda endpoint: endpoint.spec.interface_name),
        Column("PROFILES", lambda endpoint: _joined(endpoint.spec.profiles), wide=True),
        Column("MAC", lambda endpoint: endpoint.spec.mac, wide=True),
        LABELS,
    ),
    "Service": (
        Column("TYPE", lambda service: service.spec.type or "ClusterIP"),
        Column("CLUSTER IP", lambda service: service.spec.cluster_ip),
        Column("PORTS", lambda service: _joined([f"{one.port}/{one.protocol or 'TCP'}" for one in service.spec.ports])),
        Column("SELECTOR", lambda service: _pairs(service.spec.selector), wide=True),
    ),
    "EndpointSlice": (
        Column("SERVICE", lambda backends: backends.metadata.labels.get(SERVICE_LABEL)),
        Column("PORTS", lambda backends: _joined([f"{one.port}/{one.protocol or 'TCP'}" for one in backends.ports])),
        Column("ADDRESSES", lambda backends: _joined([text for one in backends.endpoints for text in one.addresses])),
    ),
    "Pod": (
        Column("NODE", lambda pod: pod.spec.node_name),
        Column("SERVICE ACCOUNT", lambda pod: pod.spec.service_account_name),
        LABELS_ALWAYS,
    ),
    "Node": (
        Column("IPV4", lambda node: node.spec.bgp.ipv4_address if node.spec.bgp else ""),
        Column("IPV6", lambda node: node.spec.bgp.ipv6_address if node.spec.bgp else ""),
        Column("ASN", lambda node: (node.spec.bgp.as_number if node.spec.bgp else None) or "(default)"),
    ),
    "IPPool": (
        Column("CIDR", lambda pool: pool.spec.cidr),
        Column("BLOCK SIZE", lambda pool: f"/{pool.spec.block_size}"),
        Column("DISABLED", lambda pool: pool.spec.disabled),
        Column("IPIP MODE", lambda pool: pool.spec.ipip_mode, wide=True),
        Column("VXLAN MODE", lambda pool: pool.spec.vxlan_mode, wide=True),
        Column("NAT", lambda pool: pool.spec.nat_outgoing, wide=True),
        Column("SELECTOR", lambda pool: pool.spec.node_selector, wide=True),
    ),
    "IPReservation": (Column("CIDRS", lambda reservation: _joined(reservation.spec.reserved_cidrs)),),
    "BGPConfiguration": (
        Column("MESH", lambda bgp: bgp.spec.node_to_node_mesh_enabled),
        Column("ASN", lambda bgp: bgp.spec.as_number),
    ),
    "BGPPeer": (
        Column("PEER", lambda peer: peer.spec.peer_ip or peer.spec.peer_selector),
        Column("NODE", lambda peer: peer.spec.node or peer.spec.node_selector or "(global)"),
        Column("ASN", lambda peer: peer.spec.as_number),
    ),
    "BGPFilter": tuple(
        Column(heading, _count(rules))
        for heading, rules in (
            ("EXPORT V4", "export_v4"),
            ("IMPORT V4", "import_v4"),
            ("EXPORT V6", "export_v6"),
            ("IMPORT V6", "import_v6"),
        )
    ),
    "FelixConfiguration": (
        Column("NODES", lambda felix: felix.spec.node_selector),
        Column("LOG", lambda felix: felix.spec.log_severity_screen),
    ),
    "KubeControllersConfiguration": (
        Column("LOG", lambda controllers: controllers.spec.log_severity_screen),
        Column("CONTROLLERS", lambda controllers: _joined(_enabled(controllers.spec.controllers))),
    ),
    "ClusterInformation": (
        Column("GUID", lambda cluster: cluster.spec.cluster_guid),
        Column("TYPE", lambda cluster: cluster.spec.cluster_type),
        Column("VERSION", lambda cluster: cluster.spec.calico_version),
        Column("READY", lambda cluster: cluster.spec.datastore_ready),
    ),
    "CalicoNodeStatus": (
        Column("NODE", lambda status: status.spec.node),
        Column("CLASSES", lambda status: _joined(status.spec.classes)),
        Column("PERIOD", lambda status: status.spec.update_period_seconds),
        Column("UPDATED", lambda status: status.status.last_updated),
    ),
    "IPAMConfiguration": (
        Column("STRICT AFFINITY", lambda ipam: ipam.spec.strict_affinity),
        Column("AUTO BLOCKS", lambda ipam: ipam.spec.auto_allocate_blocks),
        Column("MAX BLOCKS", lambda ipam: ipam.spec.max_blocks_per_host),
    ),
    "BlockAffinity": (
        Column("NODE", lambda affinity: affinity.spec.node),
        Column("CIDR", lambda affinity: affinity.spec.cidr),
        Column("STATE", lambda affinity: affinity.spec.state),
    ),
    "LiveMigration": (
        Column("FROM", lambda migration: _migrating(migration.spec.source)),
        Column("TO", lambda migration: _migrating(migration.spec.target)),
    ),
}


class Table(msgspec.Struct, frozen=True):
    """A table; the first `fixed` columns hold names, which must never be cut."""

    headings: list[str]
    rows: list[list[str]]
    fixed: int


def table(
    kind: type[Resource], resources: Sequence[Resource], *, wide: bool, labels: bool = False, with_kind: bool = False
) -> Table:
    """The table of some resources of one kind.

    Args:
        wide: with the columns for `-o wide`.
        labels: with a column of all labels.
        with_kind: names have their kind before them, for tables of several kinds.
    """
    names = ([NAMESPACE] if kind.namespaced else []) + [KIND_AND_NAME if with_kind else NAME]
    columns = names + [column for column in _all_columns(kind.kind) if wide or not column.wide]
    if labels and not any(column.value is LABELS.value for column in columns):
        columns.append(LABELS)
    rows = [[cell(column.value(resource)) for column in columns] for resource in resources]
    return Table([column.heading for column in columns], rows, len(names))


def headings_of(kind: str | None) -> set[str]:
    """Every heading of a kind's table, or of all kinds' tables."""
    kinds = COLUMNS if kind is None else [kind]
    return {column.heading for one in kinds for column in (NAMESPACE, NAME, *_all_columns(one), LABELS)}


def named_column(resource: Resource, heading: str) -> str:
    """The value of the column of a heading; a dash when the kind has no such column."""
    columns = (NAMESPACE, NAME, *_all_columns(resource.kind), LABELS)
    return next((cell(column.value(resource)) for column in columns if column.heading == heading), cell(None))


def cell(value: object) -> str:
    """A value as it stands in a table."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _all_columns(kind: str) -> tuple[Column, ...]:
    return (*COLUMNS.get(kind, ()), AGE)
