"""Addresses of services that this node announces, from services, their backends and the ranges that may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from tortie.api.endpointslice import SERVICE_LABEL, EndpointSlice
from tortie.api.resource import ResourceKey
from tortie.api.service import Service
from tortie.base.addresses import Cidr
from tortie.calculation.bgpsettings import ServiceRanges
from tortie.calculation.problems import Problems
from tortie.desired.bgp import Services

NO_RANGES = ServiceRanges()

_TYPES = ("", "ClusterIP", "NodePort", "LoadBalancer")
_ADDRESS_TYPES = {"IPv4": 4, "IPv6": 6}

ServiceName = str
"""Namespace and name, joined by a slash."""


class _Service(msgspec.Struct, frozen=True, gc=False):
    """Addresses of a service by their kind; `local` when only nodes with a backend announce it."""

    cluster: tuple[Cidr, ...]
    external: tuple[Cidr, ...]
    load_balancer: tuple[Cidr, ...]
    local: bool


class _Slice(msgspec.Struct, frozen=True, gc=False):
    """Whether a slice has a ready backend at all, and whether one is on this node."""

    service: ServiceName
    family: int
    anywhere: bool
    here: bool


class Advertising:
    """Each change is worked out for its service alone."""

    def __init__(self, node: str, problems: Problems) -> None:
        self._node = node
        self._problems = problems
        self._ranges = NO_RANGES
        self._excluded = False
        self._services: dict[ServiceName, _Service] = {}
        self._slices: dict[ResourceKey, _Slice] = {}
        self._by_service: dict[ServiceName, set[ResourceKey]] = {}
        self._announced: dict[ServiceName, tuple[Cidr, ...]] = {}
        self._count: Counter[Cidr] = Counter()
        self._dirty: set[ServiceName] = set()

    def put_service(self, key: ResourceKey, service: Service | None) -> None:
        """Add, replace or, with None, remove a service."""
        name = f"{key.namespace}/{key.name}"
        read = self._read(key, service)
        if read is None:
            self._services.pop(name, None)
        else:
            self._services[name] = read
        self._dirty.add(name)

    def put_slice(self, key: ResourceKey, slice: EndpointSlice | None) -> None:
        """Add, replace or, with None, remove some backends of a service."""
        new = self._summary(key, slice) if slice is not None else None
        old = self._slices.get(key)
        if new == old:
            return
        if old is not None:
            del self._slices[key]
            self._by_service[old.service].discard(key)
            if not self._by_service[old.service]:
                del self._by_service[old.service]
            self._dirty.add(old.service)
        if new is not None:
            self._slices[key] = new
            self._by_service.setdefault(new.service, set()).add(key)
            self._dirty.add(new.service)

    def configure(self, ranges: ServiceRanges, *, excluded: bool) -> None:
        """What may be announced; nothing by an excluded node."""
        if (ranges, excluded) != (self._ranges, self._excluded):
            self._ranges, self._excluded = ranges, excluded
            self._dirty.update(self._services)

    @property
    def is_dirty(self) -> bool:
        """Whether something changed since the last `flush`."""
        return bool(self._dirty)

    def flush(self) -> Services:
        """What is announced now."""
        for name in self._dirty:
            self._settle(name)
        self._dirty.clear()
        ranges = self._ranges
        everything = {*ranges.cluster, *ranges.external, *ranges.load_balancer}
        announced = set(self._count)
        if not self._excluded:
            announced.update(_aggregates(ranges))
        return Services(tuple(sorted(everything)), tuple(sorted(announced)))

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._services or self._slices or self._by_service or self._announced or self._count)

    def _settle(self, name: ServiceName) -> None:
        service = self._services.get(name)
        new = () if service is None or self._excluded else tuple(dict.fromkeys(self._addresses(name, service)))
        self._count.subtract(self._announced.pop(name, ()))
        self._count.update(new)
        self._count = +self._count
        if new:
            self._announced[name] = new

    def _addresses(self, name: ServiceName, service: _Service) -> Iterator[Cidr]:
        ranges = self._ranges
        slices = [self._slices[key] for key in self._by_service.get(name, ())]
        here = {slice.family for slice in slices if slice.here}
        anywhere = {slice.family for slice in slices if slice.anywhere}
        external = _inside(service.external, ranges.external)
        balanced = _inside(service.load_balancer, ranges.load_balancer)
        if service.local:
            cluster = _inside(service.cluster, ranges.cluster)
            yield from (one for one in (*cluster, *external, *balanced) if one.family in here)
            return
        yield from (one for one in external if one in ranges.external)
        yield from (one for one in balanced if one in ranges.load_balancer)
        if not ranges.aggregated:
            yield from (one for one in balanced if one.family in anywhere)

    def _read(self, key: ResourceKey, service: Service | None) -> _Service | None:
        if service is None or service.spec.type not in _TYPES:
            return None
        spec = service.spec
        cluster = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
        if not cluster or "None" in cluster:
            return None
        balanced = [one.ip for one in service.status.load_balancer.ingress if one.ip]
        try:
            return _Service(
                cluster=tuple(map(Cidr.host, cluster)),
                external=tuple(map(Cidr.host, spec.external_ips)),
                load_balancer=tuple(map(Cidr.host, balanced)) if spec.type == "LoadBalancer" else (),
                local=spec.external_traffic_policy == "Local",
            )
        except ValueError as error:
            self._problems.note(key, error)
            return None

    def _summary(self, key: ResourceKey, slice: EndpointSlice) -> _Slice | None:
        name, family = slice.metadata.labels.get(SERVICE_LABEL), _ADDRESS_TYPES.get(slice.address_type)
        if not name or family is None:
            return None
        ready = [one for one in slice.endpoints if one.conditions.ready is not False]
        here = any(one.node_name == self._node for one in ready)
        return _Slice(f"{key.namespace}/{name}", family, bool(ready), here)


def _aggregates(ranges: ServiceRanges) -> Iterator[Cidr]:
    """Ranges that every node announces as they are; single addresses are announced with their service instead."""
    yield from ranges.cluster
    balanced = ranges.load_balancer if ranges.aggregated else ()
    yield from (one for one in (*ranges.external, *balanced) if not one.is_host)


def _inside(addresses: Iterable[Cidr], ranges: Iterable[Cidr]) -> list[Cidr]:
    allowed = list(ranges)
    return [one for one in addresses if any(range.contains(one) for range in allowed)]
