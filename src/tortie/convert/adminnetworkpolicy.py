"""Kubernetes AdminNetworkPolicy and BaselineAdminNetworkPolicy (`policy.networking.k8s.io/v1alpha1`) likewise.

Both ways in which releases of the API spelt peers are read: `namespaces: {matchLabels}` and, until
v0.1.1, `namespaces: {namespaceSelector}`. Source: the API of kubernetes-sigs/network-policy-api.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import msgspec

from tortie.api.rules import EntityRule
from tortie.convert.adminpeers import Subject, outside, pods, the_only
from tortie.convert.adminpolicy import HIGHEST_PRIORITY, Form, Place, PortsByProtocol, priority
from tortie.convert.converted import NotSupported, Unconvertible, both, each
from tortie.convert.objects import KubernetesObject, LabelSelector, Part
from tortie.convert.ports import Wanted, merged, port_name, port_range, protocol

BASELINE_NAME = "default"
"""The one name that a baseline policy may have."""

BASELINE = Place("kube-baseline", HIGHEST_PRIORITY + 1.0)
"""After every ClusterNetworkPolicy of the same tier: it takes the place of the baseline of old."""


class PortNumber(Part, frozen=True, kw_only=True):
    """A port; of TCP unless said otherwise."""

    protocol: str | None = None
    port: int


class PortRange(Part, frozen=True, kw_only=True):
    """First and last port; of TCP unless said otherwise."""

    protocol: str | None = None
    start: int
    end: int


class Port(Part, frozen=True, kw_only=True):
    """Exactly one field is set; the name of a port says its protocol too."""

    port_number: PortNumber | None = None
    port_range: PortRange | None = None
    named_port: str | None = None


class Namespaces(LabelSelector, frozen=True, kw_only=True):
    """A selector, or one of the older ways to say which."""

    namespace_selector: LabelSelector | None = None
    same_labels: tuple[str, ...] | None = None
    not_same_labels: tuple[str, ...] | None = None


class Pods(Part, frozen=True, kw_only=True):
    """Pods of namespaces, which are selected in one of two spellings."""

    pod_selector: LabelSelector
    namespace_selector: LabelSelector | None = None
    namespaces: Namespaces | None = None


class Peer(Part, frozen=True, kw_only=True):
    """Exactly one field is set."""

    namespaces: Namespaces | None = None
    pods: Pods | None = None


class BaselineEgressPeer(Peer, frozen=True, kw_only=True):
    """Exactly one field is set."""

    nodes: LabelSelector | None = None
    networks: tuple[str, ...] | None = None


class EgressPeer(BaselineEgressPeer, frozen=True, kw_only=True):
    """Exactly one field is set."""

    domain_names: tuple[str, ...] | None = None


class _Rule(Part, frozen=True, kw_only=True):
    name: str | None = None
    action: str
    ports: tuple[Port, ...] | None = None


class IngressRule(_Rule, frozen=True, kw_only=True):
    """Without ports it matches every packet of its peers."""

    from_: tuple[Peer, ...] = msgspec.field(name="from")


class EgressRule(_Rule, frozen=True, kw_only=True):
    """Without ports it matches every packet to its peers."""

    to: tuple[EgressPeer, ...]


class BaselineEgressRule(_Rule, frozen=True, kw_only=True):
    """Without ports it matches every packet to its peers."""

    to: tuple[BaselineEgressPeer, ...]


class Spec(Part, frozen=True, kw_only=True):
    """A lower priority number comes first."""

    priority: int
    subject: Subject
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None


class BaselineSpec(Part, frozen=True, kw_only=True):
    """There is one of them, so it needs no priority."""

    subject: Subject
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[BaselineEgressRule, ...] | None = None


class AdminNetworkPolicy(KubernetesObject, frozen=True, kw_only=True):
    """A whole object; status is somebody's answer."""

    known_as: ClassVar[str] = "AdminNetworkPolicy"
    left_out: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: Spec


class BaselineAdminNetworkPolicy(KubernetesObject, frozen=True, kw_only=True):
    """A whole object; status is somebody's answer."""

    known_as: ClassVar[str] = "BaselineAdminNetworkPolicy"
    left_out: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: BaselineSpec


def _place(name: str, spec: Spec) -> Place:
    return Place("kube-admin", priority(spec.priority))


def _baseline_place(name: str, spec: BaselineSpec) -> Place:
    if name != BASELINE_NAME:
        raise Unconvertible("metadata.name", f"is {name!r}", f"the one baseline policy is called {BASELINE_NAME}")
    return BASELINE


def _peer(peer: Peer, path: str) -> list[EntityRule]:
    the_only(peer, path)
    if peer.namespaces is not None:
        return [pods(*_namespaces(peer.namespaces, f"{path}.namespaces"))]
    if peer.pods is not None:
        return [_pods(peer.pods, f"{path}.pods")]
    return outside(peer, path)


def _pods(given: Pods, path: str) -> EntityRule:
    if (given.namespaces is None) == (given.namespace_selector is None):
        problem = "says nothing of namespaces" if given.namespaces is None else "says twice which namespaces"
        raise Unconvertible(path, problem, "give a namespaceSelector; {} is every namespace")
    selector, where = given.namespace_selector, f"{path}.namespaceSelector"
    if given.namespaces is not None:
        selector, where = _namespaces(given.namespaces, f"{path}.namespaces")
    return pods(selector or LabelSelector(), where, given.pod_selector, f"{path}.podSelector")


def _namespaces(given: Namespaces, path: str) -> tuple[LabelSelector, str]:
    """The selector in either spelling, and where it stands."""
    ways = (given.namespace_selector, given.same_labels, given.not_same_labels)
    older = [way for way in ways if way is not None]
    if not older:
        return given, path
    if len(older) > 1 or given.match_labels is not None or given.match_expressions is not None:
        raise Unconvertible(path, "selects in several ways", "give matchLabels and matchExpressions alone")
    if given.namespace_selector is None:
        problem = "namespaces with labels like the subject's cannot be carried out"
        raise NotSupported(path, problem, "select them by values of labels")
    return given.namespace_selector, f"{path}.namespaceSelector"


def _ports(rule: IngressRule | EgressRule | BaselineEgressRule, path: str) -> PortsByProtocol:
    return merged(each(partial(_wanted, port, f"{path}.ports[{index}]") for index, port in enumerate(rule.ports or ())))


def _wanted(port: Port, path: str) -> tuple[str | None, Wanted]:
    the_only(port, path)
    if port.port_number is not None:
        number, here = port.port_number.port, f"{path}.portNumber"
        return both(
            partial(protocol, port.port_number.protocol, here), partial(port_range, number, number, f"{here}.port")
        )
    if port.port_range is not None:
        span, here = port.port_range, f"{path}.portRange"
        return both(partial(protocol, span.protocol, here), partial(port_range, span.start, span.end, here))
    return None, port_name(port.named_port or "", f"{path}.namedPort")


FORM = Form(
    version="policy.networking.k8s.io/v1alpha1",
    prefix="kanp",
    document=AdminNetworkPolicy,
    actions={"Allow": "Allow", "Deny": "Deny", "Pass": "Pass"},
    place=_place,
    peer=_peer,
    ports=_ports,
)
"""How a policy of administrators is read."""

BASELINE_FORM = Form(
    version=FORM.version,
    prefix="kbanp",
    document=BaselineAdminNetworkPolicy,
    actions={"Allow": "Allow", "Deny": "Deny"},
    place=_baseline_place,
    peer=_peer,
    ports=_ports,
)
"""How the baseline policy is read."""
