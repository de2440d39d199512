"""NetworkPolicy and GlobalNetworkPolicy: what traffic their endpoints may send and receive."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource
from tortie.api.rules import Rule


class NetworkPolicySpec(Model, frozen=True, kw_only=True):
    """Applies to the endpoints of its namespace that the selector selects (empty selects all)."""

    tier: str = ""
    order: float | None = None
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    selector: str = ""
    types: tuple[str, ...] = ()
    service_account_selector: str = ""
    performance_hints: tuple[str, ...] = ()


class NetworkPolicy(Resource, frozen=True, kw_only=True):
    """Policy of one namespace."""

    kind: ClassVar[str] = "NetworkPolicy"
    plural: ClassVar[str] = "networkpolicies"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("np", "cnp", "caliconetworkpolicy")

    spec: NetworkPolicySpec = msgspec.field(default_factory=NetworkPolicySpec)


class GlobalNetworkPolicySpec(Model, frozen=True, kw_only=True):
    """Applies to every endpoint of the cluster, host endpoints too, that the selectors select."""

    tier: str = ""
    order: float | None = None
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    selector: str = ""
    types: tuple[str, ...] = ()
    do_not_track: bool = False
    pre_dnat: bool = msgspec.field(default=False, name="preDNAT")
    apply_on_forward: bool = False
    service_account_selector: str = ""
    namespace_selector: str = ""
    performance_hints: tuple[str, ...] = ()


class GlobalNetworkPolicy(Resource, frozen=True, kw_only=True):
    """Policy of the whole cluster."""

    kind: ClassVar[str] = "GlobalNetworkPolicy"
    plural: ClassVar[str] = "globalnetworkpolicies"
    aliases: ClassVar[tuple[str, ...]] = ("gnp", "cgnp")

    spec: GlobalNetworkPolicySpec = msgspec.field(default_factory=GlobalNetworkPolicySpec)
