"""What pods hand on to their workload endpoints: labels, service account and named ports.

What is stored of an endpoint is what it was when it was made; what its pod says now comes on top.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec

from tortie.api.pod import Pod
from tortie.api.resource import Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.calculation.columns import Columns
from tortie.calculation.interning import Interner
from tortie.calculation.items import ORCHESTRATOR, Item, NamedPort, account_labels, own_labels
from tortie.calculation.labels import Labels, Parents
from tortie.calculation.protocols import KUBERNETES_PROTOCOLS
from tortie.selector.scoping import NAMESPACE, SERVICE_ACCOUNT

KUBERNETES = "k8s"
"""Orchestrator of the endpoints that have pods."""

RESERVED = frozenset({NAMESPACE, ORCHESTRATOR, SERVICE_ACCOUNT})
"""Labels that say where an endpoint belongs: a pod may not choose them."""


class Share(msgspec.Struct, frozen=True, gc=False):
    """What an endpoint has of its own, or from its pod."""

    labels: Labels
    parents: Parents
    ports: tuple[NamedPort, ...]

    def over(self, other: Share) -> Share:
        """Both; where they differ about a label, this one is right."""
        return Share(
            labels=tuple(sorted((dict(other.labels) | dict(self.labels)).items())),
            parents=tuple(dict.fromkeys((*other.parents, *self.parents))),
            ports=tuple(sorted({*other.ports, *self.ports})),
        )


class _Member(msgspec.Struct, frozen=True, gc=False):
    """An endpoint of a pod, and what it has of its own."""

    pod: ResourceKey
    own: Share


class Pods:
    """Pods and endpoints may come in any order, and either without the other."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._given: dict[ResourceKey, Share] = {}
        self._endpoints: dict[ResourceKey, tuple[ResourceKey, ...]] = {}
        self._members: dict[ResourceKey, _Member] = {}
        self._shares: Interner[Share] = Interner()

    def dress(self, key: ResourceKey, endpoint: Resource | None, item: Item | None) -> Item | None:
        """An endpoint's item with what its pod gives; the endpoint is remembered for when the pod changes."""
        self._part(key)
        pod = pod_of(endpoint) if item is not None else None
        if pod is None or item is None:
            return item
        own = self._shares.acquire(Share(item.labels, item.parents, item.ports))
        self._members[key] = _Member(pod, own)
        self._endpoints[pod] = (*self._endpoints.get(pod, ()), key)
        share = self._dressed(key)
        return msgspec.structs.replace(item, labels=share.labels, parents=share.parents, ports=share.ports)

    def put(self, key: ResourceKey, pod: Pod | None) -> Iterable[tuple[ResourceKey, Parents]]:
        """Add, replace or, with None, remove a pod; returns its endpoints with the profiles that they now have."""
        old = self._given.pop(key, None)
        new = _share(pod) if pod is not None else None
        if new is not None:
            self._given[key] = self._shares.acquire(new)
        if old is not None:
            self._shares.release(old)
        return [] if old == new else [(endpoint, self._redress(endpoint)) for endpoint in self._endpoints.get(key, ())]

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._given or self._endpoints or self._members or self._shares)

    def _part(self, key: ResourceKey) -> None:
        """Forget an endpoint, if it is a pod's."""
        member = self._members.pop(key, None)
        if member is None:
            return
        self._shares.release(member.own)
        others = tuple(other for other in self._endpoints.pop(member.pod) if other != key)
        if others:
            self._endpoints[member.pod] = others

    def _redress(self, key: ResourceKey) -> Parents:
        share = self._dressed(key)
        self._columns.redress(key, share.labels, share.parents, share.ports)
        return share.parents

    def _dressed(self, key: ResourceKey) -> Share:
        member = self._members[key]
        given = self._given.get(member.pod)
        return member.own if given is None else given.over(member.own)


def pod_of(endpoint: Resource | None) -> ResourceKey | None:
    """The pod whose endpoint this is, if it is a pod's."""
    if not isinstance(endpoint, WorkloadEndpoint):
        return None
    if endpoint.spec.orchestrator != KUBERNETES or not endpoint.spec.pod:
        return None
    return ResourceKey(Pod.kind, endpoint.metadata.namespace, endpoint.spec.pod)


def _share(pod: Pod) -> Share:
    """A port that cannot be is left out: nothing else of the pod hangs on it."""
    spec = pod.spec
    account = spec.service_account_name
    labels = {label: value for label, value in own_labels(pod.metadata.labels).items() if label not in RESERVED}
    labels |= account_labels(account)
    containers = (*spec.init_containers, *spec.containers)
    ports = {
        NamedPort(sys.intern(port.name), KUBERNETES_PROTOCOLS[port.protocol], port.container_port)
        for container in containers
        for port in container.ports
        if port.name and port.protocol in KUBERNETES_PROTOCOLS and 0 < port.container_port < 1 << 16
    }
    return Share(
        labels=tuple(sorted((sys.intern(label), sys.intern(value)) for label, value in labels.items())),
        parents=(sys.intern(f"ksa.{pod.metadata.namespace}.{account}"),) if account else (),
        ports=tuple(sorted(ports)),
    )
