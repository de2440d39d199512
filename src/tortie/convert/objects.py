"""The parts of Kubernetes objects that conversion reads. Null is the same as absent.

What Kubernetes has besides the fields of a struct stands in its `left_out`, so that a field which
neither knows is told from one that does not matter. Read leniently, an unknown field of an object is
overlooked, as it may be newer than this reader; in a rule of a policy it never is: a field that narrows
the rule would be missed, and the rule would allow too much.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from tortie.api.resource import Metadata, words


class Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """A part of an object. `left_out` names fields that it has in Kubernetes, and that nothing here depends on."""

    left_out: ClassVar[frozenset[str]] = frozenset()


class KubernetesObject(Part, frozen=True, kw_only=True):
    """A whole object; `known_as` is its kind."""

    known_as: ClassVar[str]
    namespaced: ClassVar[bool] = False

    api_version: Any = None
    kind: Any = None
    metadata: Metadata = Metadata()


class Namespace(KubernetesObject, frozen=True, kw_only=True):
    """A Namespace of `v1`, of which only the metadata counts."""

    known_as: ClassVar[str] = "Namespace"
    left_out: ClassVar[frozenset[str]] = frozenset({"spec", "status"})


class ServiceAccount(KubernetesObject, frozen=True, kw_only=True):
    """A ServiceAccount of `v1`, of which only the metadata counts."""

    known_as: ClassVar[str] = "ServiceAccount"
    namespaced: ClassVar[bool] = True
    left_out: ClassVar[frozenset[str]] = frozenset({"automountServiceAccountToken", "imagePullSecrets", "secrets"})


class Expression(Part, frozen=True, kw_only=True):
    """A requirement: `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None


class LabelSelector(Part, frozen=True, kw_only=True):
    """All labels and all expressions must match; with none of both it selects everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Expression, ...] | None = None


class IPBlock(Part, frozen=True, kw_only=True):
    """A prefix without some parts of it."""

    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(default=None, name="except")


class Peer(Part, frozen=True, kw_only=True):
    """Pods of this or of the selected namespaces, or a block of addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class Port(Part, frozen=True, kw_only=True):
    """A port by number, range or name; TCP unless said otherwise, all ports of it when none is given."""

    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class Ingress(Part, frozen=True, kw_only=True):
    """Allows these sources to these ports; no source is any, no port is all."""

    from_: tuple[Peer, ...] | None = msgspec.field(default=None, name="from")
    ports: tuple[Port, ...] | None = None


class Egress(Part, frozen=True, kw_only=True):
    """Allows these destinations on these ports; no destination is any, no port is all."""

    to: tuple[Peer, ...] | None = None
    ports: tuple[Port, ...] | None = None


class NetworkPolicySpec(Part, frozen=True, kw_only=True):
    """What a policy says of the pods that it selects."""

    pod_selector: LabelSelector | None = None
    policy_types: tuple[str, ...] | None = None
    ingress: tuple[Ingress, ...] | None = None
    egress: tuple[Egress, ...] | None = None


class NetworkPolicy(KubernetesObject, frozen=True, kw_only=True):
    """A NetworkPolicy of `networking.k8s.io/v1`; its status was one of its controller's."""

    known_as: ClassVar[str] = "NetworkPolicy"
    namespaced: ClassVar[bool] = True
    left_out: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: NetworkPolicySpec | None = None


class NodeAddress(Part, frozen=True, kw_only=True):
    """An address or a name of a node; `type` says which."""

    type: str = ""
    address: str = ""


class NodeSpec(Part, frozen=True, kw_only=True):
    """Prefixes that Kubernetes gave the pods of a node."""

    left_out: ClassVar[frozenset[str]] = frozenset(
        {"configSource", "externalID", "podCIDR", "podPreemptionPolicy", "providerID", "taints", "unschedulable"}
    )

    pod_cidrs: tuple[str, ...] | None = msgspec.field(default=None, name="podCIDRs")


class NodeStatus(Part, frozen=True, kw_only=True):
    """Where a node can be reached."""

    left_out: ClassVar[frozenset[str]] = words(
        "allocatable capacity conditions config daemonEndpoints declaredFeatures features images nodeInfo phase "
        "runtimeHandlers volumesAttached volumesInUse"
    )

    addresses: tuple[NodeAddress, ...] | None = None


class KubernetesNode(KubernetesObject, frozen=True, kw_only=True):
    """A Node of `v1`."""

    known_as: ClassVar[str] = "Node"

    spec: NodeSpec | None = None
    status: NodeStatus | None = None


CONDITIONS: frozenset[type] = frozenset({Egress, Expression, IPBlock, Ingress, LabelSelector, Peer, Port})
"""Structs whose every field narrows what they match."""

SELECTORS: frozenset[tuple[type, str]] = frozenset({(NetworkPolicySpec, "pod_selector")})
"""Fields that select everything when they are left out."""
