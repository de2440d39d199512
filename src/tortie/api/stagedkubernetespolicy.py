"""StagedKubernetesNetworkPolicy: a Kubernetes NetworkPolicy that is evaluated and reported, not enforced.

Below the specification everything is as in `networking.k8s.io/v1`.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class LabelRequirement(Model, frozen=True, kw_only=True):
    """`operator` is In or NotIn, with values, or Exists or DoesNotExist, without."""

    key: str = msgspec.field(default_factory=str)
    operator: str = msgspec.field(default_factory=str)
    values: tuple[str, ...] = ()


class LabelSelector(Model, frozen=True, kw_only=True):
    """All labels and all requirements must match; with none of both it selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelRequirement, ...] = ()


class IPBlock(Model, frozen=True, kw_only=True):
    """A prefix without some parts of it."""

    cidr: str = msgspec.field(default_factory=str)
    except_: tuple[str, ...] = msgspec.field(default=(), name="except")


class PolicyPeer(Model, frozen=True, kw_only=True):
    """Pods of this or of the selected namespaces, or a block of addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class PolicyPort(Model, frozen=True, kw_only=True):
    """A port by number, range (`port` to `end_port`) or name; all ports of the protocol when none is given."""

    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class IngressRule(Model, frozen=True, kw_only=True):
    """Allows these sources to these ports; no source is any, no port is all."""

    ports: tuple[PolicyPort, ...] = ()
    from_: tuple[PolicyPeer, ...] = msgspec.field(default=(), name="from")


class EgressRule(Model, frozen=True, kw_only=True):
    """Allows these destinations on these ports; no destination is any, no port is all."""

    ports: tuple[PolicyPort, ...] = ()
    to: tuple[PolicyPeer, ...] = ()


class StagedKubernetesNetworkPolicySpec(Model, frozen=True, kw_only=True):
    """`staged_action` is Set, Delete, Learn or Ignore; an empty `pod_selector` selects all pods."""

    staged_action: str = ""
    pod_selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    ingress: tuple[IngressRule, ...] = ()
    egress: tuple[EgressRule, ...] = ()
    policy_types: tuple[str, ...] = ()


class StagedKubernetesNetworkPolicy(Resource, frozen=True, kw_only=True):
    """What a Kubernetes NetworkPolicy would be."""

    kind: ClassVar[str] = "StagedKubernetesNetworkPolicy"
    plural: ClassVar[str] = "stagedkubernetesnetworkpolicies"
    namespaced: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("sknp",)

    spec: StagedKubernetesNetworkPolicySpec = msgspec.field(default_factory=StagedKubernetesNetworkPolicySpec)
