"""StagedNetworkPolicy and StagedGlobalNetworkPolicy: policies that are evaluated and reported, not enforced.

Their fields are those of the enforced kinds after `staged_action`, in the order in which they are stored.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource
from tortie.api.rules import Rule


class StagedNetworkPolicySpec(Model, frozen=True, kw_only=True):
    """`staged_action` is Set, Delete, Learn or Ignore; Delete stages the end of the policy of the same name."""

    staged_action: str = ""
    tier: str = ""
    order: float | None = None
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    selector: str = ""
    types: tuple[str, ...] = ()
    service_account_selector: str = ""
    performance_hints: tuple[str, ...] = ()


class StagedNetworkPolicy(Resource, frozen=True, kw_only=True):
    """What a NetworkPolicy would be."""

    kind: ClassVar[str] = "StagedNetworkPolicy"
    plural: ClassVar[str] = "stagednetworkpolicies"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("snp", "scnp")

    spec: StagedNetworkPolicySpec = msgspec.field(default_factory=StagedNetworkPolicySpec)


class StagedGlobalNetworkPolicySpec(Model, frozen=True, kw_only=True):
    """`staged_action` is as for StagedNetworkPolicy."""

    staged_action: str = ""
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


class StagedGlobalNetworkPolicy(Resource, frozen=True, kw_only=True):
    """What a GlobalNetworkPolicy would be."""

    kind: ClassVar[str] = "StagedGlobalNetworkPolicy"
    plural: ClassVar[str] = "stagedglobalnetworkpolicies"
    aliases: ClassVar[tuple[str, ...]] = ("sgnp",)

    spec: StagedGlobalNetworkPolicySpec = msgspec.field(default_factory=StagedGlobalNetworkPolicySpec)
