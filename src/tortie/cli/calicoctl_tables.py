"""The tables of `calicoctl get`: which columns each kind has, and how values are spelt there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import click

from tortie.api.kinds import KINDS
from tortie.api.resource import Resource
from tortie.cli.formats import PrinterMaker
from tortie.cli.output import padded, widths_of
from tortie.cli.printers import Changed, TableOptions

Value = Callable[[Any], object]

LONGEST = 80
"""Characters of a list of prefixes; the rest is left out."""

DEFAULT_AS_NUMBER = 64512

POLICY = ("NAME TIER", "NAME TIER ORDER SELECTOR")

COLUMNS: dict[str, tuple[str, str]] = {
    "BGPConfiguration": ("NAME LOGSEVERITY MESHENABLED ASNUMBER",) * 2,
    "BGPFilter": ("NAME NUMEXPORT NUMIMPORT",) * 2,
    "BGPPeer": ("NAME PEERIP NODE ASN",) * 2,
    "CalicoNodeStatus": ("NAME NODE", "NAME NODE CLASSES"),
    "ClusterInformation": ("NAME CLUSTERGUID CLUSTERTYPE CALICOVERSION DATASTOREREADY",) * 2,
    "GlobalNetworkPolicy": POLICY,
    "GlobalNetworkSet": ("NAME", "NAME NETS"),
    "HostEndpoint": ("NAME NODE", "NAME NODE INTERFACE IPS PROFILES"),
    "IPAMConfiguration": (
        "NAME STRICTAFFINITY AUTOALLOCATEBLOCKS",
        "NAME STRICTAFFINITY AUTOALLOCATEBLOCKS MAXBLOCKSPERHOST",
    ),
    "IPPool": ("NAME CIDR SELECTOR", "NAME CIDR NAT IPIPMODE VXLANMODE DISABLED DISABLEBGPEXPORT SELECTOR"),
    "IPReservation": ("NAME", "NAME CIDRS"),
    "NetworkPolicy": POLICY,
    "NetworkSet": ("NAME", "NAME NETS"),
    "Node": ("NAME", "NAME ASN IPV4 IPV6"),
    "Profile": ("NAME", "NAME LABELS"),
    "StagedGlobalNetworkPolicy": POLICY,
    "StagedNetworkPolicy": POLICY,
    "Tier": ("NAME ORDER",) * 2,
    "WorkloadEndpoint": (
        "WORKLOAD NODE NETWORKS INTERFACE",
        "NAME WORKLOAD NODE NETWORKS INTERFACE PROFILES NATS",
    ),
}
"""Kind to its columns, and those of `-o wide`; a kind that is not here has its name alone."""


def _peer_node(peer: Any) -> str:
    return peer.spec.node or peer.spec.node_selector or "(global)"


def _as_number(node: Any) -> object:
    bgp = node.spec.bgp
    return "" if bgp is None else bgp.as_number or f"({DEFAULT_AS_NUMBER})"


VALUES: dict[str, Value] = {
    "NAME": lambda one: one.metadata.name,
    "NAMESPACE": lambda one: one.metadata.namespace,
    "TIER": lambda one: one.spec.tier,
    "ORDER": lambda one: one.spec.order,
    "SELECTOR": lambda one: one.spec.node_selector if one.kind == "IPPool" else one.spec.selector,
    "LOGSEVERITY": lambda one: one.spec.log_severity_screen,
    "MESHENABLED": lambda one: (
        "-" if one.spec.node_to_node_mesh_enabled is None else one.spec.node_to_node_mesh_enabled
    ),
    "ASNUMBER": lambda one: one.spec.as_number or "-",
    "NUMEXPORT": lambda one: len(one.spec.export_v4) + len(one.spec.export_v6),
    "NUMIMPORT": lambda one: len(one.spec.import_v4) + len(one.spec.import_v6),
    "PEERIP": lambda one: one.spec.peer_ip,
    "NODE": lambda one: _peer_node(one) if one.kind == "BGPPeer" else one.spec.node,
    "ASN": lambda one: (one.spec.as_number or 0) if one.kind == "BGPPeer" else _as_number(one),
    "CLASSES": lambda one: one.spec.classes,
    "CLUSTERGUID": lambda one: one.spec.cluster_guid,
    "CLUSTERTYPE": lambda one: one.spec.cluster_type,
    "CALICOVERSION": lambda one: one.spec.calico_version,
    "DATASTOREREADY": lambda one: one.spec.datastore_ready,
    "NETS": lambda one: _shortened(_text(one.spec.nets)),
    "INTERFACE": lambda one: one.spec.interface_name,
    "IPS": lambda one: one.spec.expected_ips,
    "PROFILES": lambda one: one.spec.profiles,
    "STRICTAFFINITY": lambda one: one.spec.strict_affinity,
    "AUTOALLOCATEBLOCKS": lambda one: one.spec.auto_allocate_blocks,
    "MAXBLOCKSPERHOST": lambda one: one.spec.max_blocks_per_host,
    "CIDR": lambda one: one.spec.cidr,
    "NAT": lambda one: one.spec.nat_outgoing,
    "IPIPMODE": lambda one: one.spec.ipip_mode or "Never",
    "VXLANMODE": lambda one: one.spec.vxlan_mode or "Never",
    "DISABLED": lambda one: one.spec.disabled,
    "DISABLEBGPEXPORT": lambda one: one.spec.disable_bgp_export,
    "CIDRS": lambda one: _shortened(_text(one.spec.reserved_cidrs)),
    "IPV4": lambda one: one.spec.bgp.ipv4_address if one.spec.bgp else "",
    "IPV6": lambda one: one.spec.bgp.ipv6_address if one.spec.bgp else "",
    "LABELS": lambda one: one.spec.labels_to_apply,
    "WORKLOAD": lambda one: one.spec.workload or one.spec.pod,
    "NETWORKS": lambda one: one.spec.ip_networks,
    "NATS": lambda one: [nat.external_ip for nat in one.spec.ip_nats],
}
"""Heading to what stands below it."""


class CalicoctlTable:
    """One table for each kind, with a line between.

    Args:
        headings: these columns only; empty for those of the kind.
        wide: all columns.
        namespaces: namespaces are shown, where there are any.
        listed: these kinds have a table even when there is nothing in it.
    """

    def __init__(self, headings: Sequence[str], *, wide: bool, namespaces: bool, listed: Sequence[str] = ()) -> None:
        self._headings = tuple(headings)
        self._listed = tuple(listed)
        self._wide = wide
        self._namespaces = namespaces

    def everything(self, resources: Sequence[Resource], *, single: bool) -> str:
        """Tables, each with an empty line below it."""
        kinds = dict.fromkeys((*self._listed, *(one.kind for one in resources)))
        return "".join(self._table(kind, [one for one in resources if one.kind == kind]) for kind in kinds)

    def changes(self, changes: Sequence[Changed]) -> str:
        """Tables of what changed."""
        groups = groupby([change.resource for change in changes], lambda one: one.kind)
        return "".join(self._table(kind, list(group)) for kind, group in groups)

    def _table(self, kind: str, resources: Sequence[Resource]) -> str:
        headings = self._headings or tuple(COLUMNS.get(kind, ("NAME", "NAME"))[self._wide].split())
        if self._namespaces and KINDS[kind].namespaced and "NAMESPACE" not in headings:
            headings = ("NAMESPACE", *headings)
        rows = [headings, *(tuple(_text(VALUES[name](one)) for name in headings) for one in resources)]
        return "\n".join(padded(rows, widths_of(rows))) + "\n\n"


def table_option(value: str | None, other: Callable[[], PrinterMaker | None]) -> PrinterMaker | None:
    """What makes the printer for a value of `-o`: a table of calicoctl's, or what `other` gives.

    Raises:
        click.BadParameter: there is no column of that heading.
    """
    word, _, argument = (value or "ps").partition("=")
    if word == "custom-columns" and argument and ":" not in argument:
        return _maker(tuple(name.strip().upper() for name in argument.split(",")), wide=False)
    if word in ("ps", "wide"):
        return _maker((), wide=word == "wide")
    return other()


def _maker(headings: tuple[str, ...], *, wide: bool) -> PrinterMaker:
    for name in headings:
        if name not in VALUES:
            raise click.BadParameter(f"there is no column {name!r}; known are {', '.join(VALUES)}")

    def make(options: TableOptions) -> CalicoctlTable:
        context = click.get_current_context()
        given = context.get_parameter_source("namespace") is click.core.ParameterSource.COMMANDLINE
        namespaces = given or bool(context.params.get("all_namespaces"))
        return CalicoctlTable(headings, wide=wide, namespaces=namespaces, listed=options.listed)

    return make


def _text(value: object) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case float():
            return _number(value)
        case Mapping():
            return ",".join(sorted(f"{name}={inner}" for name, inner in value.items()))
        case list() | tuple():
            return ",".join(map(str, value))
    return str(value)


def _number(value: float) -> str:
    """As few digits as say the same; an exponent from a million on."""
    if 1e-4 <= abs(value) < 1e6 or value == 0:
        return repr(value).removesuffix(".0")
    digits, _, exponent = f"{value:e}".partition("e") if float(f"{value:e}") == value else repr(value).partition("e")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}e{exponent}" if exponent else digits


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
