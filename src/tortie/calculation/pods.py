"""What pods hand on to their workload endpoints: labels, service account and named ports.

What is stored of an endpoint is what it was when it was made; what its pod says now comes on top.
"""

from __future__ import annotations

import sys

import msgspec

from tortie.api.pod import Pod
from tortie.api.resource import Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.calculation.columns import Columns, Share
from tortie.calculation.interning import Interner
from tortie.calculation.items import Item, NamedPort
from tortie.calculation.labels import Parents
from tortie.calculation.owners import Owners
from tortie.calculation.protocols import protocol_number
from tortie.convert.pod import ports
from tortie.selector.endpointlabels import KUBERNETES, pod_labels

PodName = str
"""Namespace and name, joined by a slash."""


class Pods:
    """Pods and endpoints may come in any order, and either without the other.

    Endpoints are ids of items; what those have of their own is remembered while their pods cover it.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._given: dict[PodName, Share] = {}
        self._endpoints: Owners[PodName] = Owners()
        self._pods: list[PodName] = []
        self._own: dict[int, Share] = {}
        self._shares: Interner[Share] = Interner()

    def dress(self, number: int, endpoint: Resource, item: Item) -> Item:
        """An endpoint's item with what its pod gives; the endpoint is remembered for when the pod changes."""
        pod = pod_of(endpoint)
        if number >= len(self._pods):
            self._pods += [""] * (number + 1 - len(self._pods))
        if self._pods[number] != pod:
            self.forget(number)
            self._pods[number] = pod
            if pod:
                self._endpoints.add(pod, number)
        given = self._given.get(pod)
        if given is None:
            self._own.pop(number, None)
            return item
        own = self._own[number] = Share(item.labels, item.parents, item.ports)
        share = given.over(own)
        return msgspec.structs.replace(item, labels=share.labels, parents=share.parents, ports=share.ports)

    def forget(self, number: int) -> None:
        """An endpoint is gone, or was never a pod's."""
        pod = self._pods[number] if number < len(self._pods) else ""
        if pod:
            self._endpoints.discard(pod, number)
            self._pods[number] = ""
            self._own.pop(number, None)

    def put(self, key: ResourceKey, pod: Pod | None) -> list[tuple[int, Parents]]:
        """Add, replace or, with None, remove a pod; returns its endpoints with the profiles that they now have."""
        name = f"{key.namespace}/{key.name}"
        old = self._given.pop(name, None)
        new = _share(pod) if pod is not None else None
        if new is not None:
            self._given[name] = self._shares.acquire(new)
        if old is not None:
            self._shares.release(old)
        return [] if old == new else [(number, self._redress(number)) for number in self._endpoints.of(name)]

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._given or self._endpoints or self._own or self._shares)

    def _redress(self, number: int) -> Parents:
        own = self._own.pop(number, None) or self._columns.share(number)
        given = self._given.get(self._pods[number])
        if given is not None:
            self._own[number] = own
        share = own if given is None else given.over(own)
        self._columns.redress(number, share)
        return share.parents


def pod_of(endpoint: Resource) -> PodName:
    """The pod whose endpoint this is; empty if it is nobody's."""
    if not isinstance(endpoint, WorkloadEndpoint):
        return ""
    if endpoint.spec.orchestrator != KUBERNETES or not endpoint.spec.pod:
        return ""
    return f"{endpoint.metadata.namespace}/{endpoint.spec.pod}"


def _share(pod: Pod) -> Share:
    account = pod.spec.service_account_name
    labels = pod_labels(pod.metadata.labels, account)
    named = {NamedPort(sys.intern(one.name), protocol_number(one.protocol), one.port) for one in ports(pod) if one.name}
    return Share(
        labels=tuple(sorted((sys.intern(label), sys.intern(value)) for label, value in labels.items())),
        parents=(sys.intern(f"ksa.{pod.metadata.namespace}.{account}"),) if account else (),
        ports=tuple(sorted(named)),
    )
