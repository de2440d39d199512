"""Kubernetes ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`) to GlobalNetworkPolicy.

Source: the API of kubernetes-sigs/network-policy-api.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import msgspec

from tortie.api.rules import EntityRule
from tortie.convert.adminpeers import NamespacedPods, Subject, namespaced_pods, outside, pods, the_only
from tortie.convert.adminpolicy import Form, Place, PortsByProtocol, priority
from tortie.convert.converted import Unconvertible, each
from tortie.convert.objects import KubernetesObject, LabelSelector, Part
from tortie.convert.ports import Wanted, merged, port_name, port_range

TIERS = {"Admin": "kube-admin", "Baseline": "kube-baseline"}
"""Tiers of the API, as ours."""


class PortRange(Part, frozen=True, kw_only=True):
    """First and last port."""

    start: int
    end: int


class Port(Part, frozen=True, kw_only=True):
    """Exactly one of a number and a range."""

    number: int | None = None
    range: PortRange | None = None


class Transport(Part, frozen=True, kw_only=True):
    """What to match of a protocol that has ports."""

    destination_port: Port | None = None


class Protocol(Part, frozen=True, kw_only=True):
    """Exactly one field is set; the name of a port says its protocol too."""

    tcp: Transport | None = None
    udp: Transport | None = None
    sctp: Transport | None = None
    destination_named_port: str | None = None


class IngressPeer(Part, frozen=True, kw_only=True):
    """Exactly one field is set."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPods | None = None


class EgressPeer(IngressPeer, frozen=True, kw_only=True):
    """Exactly one field is set."""

    nodes: LabelSelector | None = None
    networks: tuple[str, ...] | None = None
    domain_names: tuple[str, ...] | None = None


class _Rule(Part, frozen=True, kw_only=True):
    name: str | None = None
    action: str
    protocols: tuple[Protocol, ...] | None = None


class IngressRule(_Rule, frozen=True, kw_only=True):
    """Without protocols it matches every packet of its peers."""

    from_: tuple[IngressPeer, ...] = msgspec.field(name="from")


class EgressRule(_Rule, frozen=True, kw_only=True):
    """Without protocols it matches every packet to its peers."""

    to: tuple[EgressPeer, ...]


class Spec(Part, frozen=True, kw_only=True):
    """A lower priority number comes first in its tier."""

    tier: str
    priority: int
    subject: Subject
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None


class ClusterNetworkPolicy(KubernetesObject, frozen=True, kw_only=True):
    """A whole object; status is somebody's answer."""

    known_as: ClassVar[str] = "ClusterNetworkPolicy"
    left_out: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: Spec


def _place(name: str, spec: Spec) -> Place:
    if spec.tier not in TIERS:
        raise Unconvertible("spec.tier", f"{spec.tier!r} is not a tier", f"use {' or '.join(TIERS)}")
    return Place(TIERS[spec.tier], priority(spec.priority))


def _peer(peer: IngressPeer, path: str) -> list[EntityRule]:
    the_only(peer, path)
    if peer.namespaces is not None:
        return [pods(peer.namespaces, f"{path}.namespaces")]
    if peer.pods is not None:
        return [namespaced_pods(peer.pods, f"{path}.pods")]
    return outside(peer, path)


def _ports(rule: IngressRule | EgressRule, path: str) -> PortsByProtocol:
    if rule.protocols is None:
        return {}
    if not rule.protocols:
        raise Unconvertible(f"{path}.protocols", "is empty", "leave it out to match every packet")
    numbered = enumerate(rule.protocols)
    return merged(each(partial(_wanted, protocol, f"{path}.protocols[{index}]") for index, protocol in numbered))


def _wanted(protocol: Protocol, path: str) -> tuple[str | None, Wanted]:
    field = the_only(protocol, path)
    if protocol.destination_named_port is not None:
        return None, port_name(protocol.destination_named_port, f"{path}.destinationNamedPort")
    transport: Transport = getattr(protocol, field)
    here = f"{path}.{field}.destinationPort"
    if transport.destination_port is None:
        raise Unconvertible(f"{path}.{field}", "says nothing", "give a destinationPort")
    return field.upper(), _numbers(transport.destination_port, here)


def _numbers(port: Port, path: str) -> Wanted:
    the_only(port, path)
    if port.range is not None:
        return port_range(port.range.start, port.range.end, f"{path}.range")
    number = port.number or 0
    return port_range(number, number, f"{path}.number")


FORM = Form(
    version="policy.networking.k8s.io/v1alpha2",
    prefix="kcnp",
    document=ClusterNetworkPolicy,
    actions={"Accept": "Allow", "Deny": "Deny", "Pass": "Pass"},
    place=_place,
    peer=_peer,
    ports=_ports,
)
"""How such a policy is read."""
