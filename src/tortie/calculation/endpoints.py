"""The endpoints of this node: who holds which interface, and what is to be programmed for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tortie.api.workloadendpoint import WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.calculation.contested import contested
from tortie.calculation.limits import limits
from tortie.calculation.localnetwork import Demands, LocalNetwork, demands
from tortie.calculation.migrations import Migrations
from tortie.calculation.permissions import NO_PERMISSIONS, Permissions
from tortie.calculation.policylists import PolicyLists
from tortie.calculation.profiles import ActiveProfiles
from tortie.calculation.routes import LocalRoutes
from tortie.calculation.steps import Steps
from tortie.calculation.subjects import Subjects
from tortie.desired.endpoints import Endpoint, EndpointId, Migration
from tortie.desired.policy import Direction, PolicyList


class _Local(msgspec.Struct, frozen=True, gc=False):
    """An endpoint of this node, and its id in the label index."""

    item: int
    spec: WorkloadEndpointSpec
    addresses: tuple[Cidr, ...]
    profiles: tuple[str, ...]
    asked: Demands

    @property
    def routed(self) -> tuple[Cidr, ...]:
        """What is routed to its interface."""
        return self.addresses + self.asked.externals


class LocalEndpoints:
    """Of endpoints that claim one interface only the one with the lowest id is programmed.

    Args (attributes):
        made: how many were made anew to see whether they differ from what was told, since the start.
    """

    def __init__(
        self,
        subjects: Subjects,
        profiles: ActiveProfiles,
        migrations: Migrations,
        permissions: Permissions = NO_PERMISSIONS,
    ) -> None:
        self.routes = LocalRoutes()
        self.network = LocalNetwork()
        self.made = 0
        self._permissions = permissions
        self._migrations = migrations
        self._subjects = subjects
        self._profiles = profiles
        self._endpoints: dict[EndpointId, _Local] = {}
        self._claims: dict[str, set[EndpointId]] = {}
        self._holders: dict[str, EndpointId] = {}
        self._by_item: dict[int, EndpointId] = {}
        self._dirty: set[EndpointId] = set()
        self._told: dict[EndpointId, Endpoint] = {}

    def put(self, endpoint_id: EndpointId, spec: WorkloadEndpointSpec, profiles: Iterable[str], item: int) -> None:
        """Add or replace an endpoint of this node; `profiles` are its own and those of its pod. Raises ValueError."""
        addresses = tuple(sorted({Cidr.host(net) for net in spec.ip_networks}))
        asked = demands(spec, self._permissions)
        self._put(endpoint_id, _Local(item, spec, addresses, tuple(dict.fromkeys(profiles)), asked))

    def has(self, item: int) -> bool:
        """Whether an item is an endpoint of this node."""
        return item in self._by_item

    def permit(self, permissions: Permissions) -> None:
        """What endpoints may ask for from now on."""
        if permissions == self._permissions:
            return
        self._permissions = permissions
        for endpoint_id, local in list(self._endpoints.items()):
            asked = demands(local.spec, permissions)
            if asked != local.asked:
                self._put(endpoint_id, msgspec.structs.replace(local, asked=asked))

    def set_profiles(self, item: int, profiles: Iterable[str]) -> None:
        """Change the profiles of an endpoint, if it is of this node."""
        endpoint_id = self._by_item.get(item)
        if endpoint_id is None:
            return
        local, distinct = self._endpoints[endpoint_id], tuple(dict.fromkeys(profiles))
        if local.profiles != distinct:
            self._put(endpoint_id, msgspec.structs.replace(local, profiles=distinct))

    def _put(self, endpoint_id: EndpointId, local: _Local) -> None:
        spec = local.spec
        self.remove(endpoint_id)
        self._by_item[local.item] = endpoint_id
        self._endpoints[endpoint_id] = local
        self._claims.setdefault(spec.interface_name, set()).add(endpoint_id)
        self._settle(spec.interface_name)

    def remove(self, endpoint_id: EndpointId) -> None:
        """Take an endpoint out, if it is there."""
        local = self._endpoints.get(endpoint_id)
        if local is None:
            return
        interface = local.spec.interface_name
        self._claims[interface].discard(endpoint_id)
        self._settle(interface)
        del self._endpoints[endpoint_id]
        del self._by_item[local.item]

    def flush(self, items: Iterable[int], lists: PolicyLists) -> Steps[tuple[list[Endpoint], list[EndpointId]]]:
        """What is new or different since the last flush, and what is gone."""
        dirty, self._dirty = self._dirty, set()
        dirty.update(self._by_item[item] for item in items if item in self._by_item)
        dirty.update(self._endpoints if self._migrations.take_changes() else ())
        changed: list[Endpoint] = []
        removed: list[EndpointId] = []
        for endpoint_id in sorted(dirty):
            local = self._programmed(endpoint_id)
            if local is None and self._told.pop(endpoint_id, None) is not None:
                removed.append(endpoint_id)
            elif local is not None:
                changed += self._tell(self._endpoint(endpoint_id, local, lists))
            yield
        return changed, removed

    def contested(self) -> Iterator[str]:
        """Interfaces that several endpoints claim, and addresses that several programmed ones do."""
        yield from contested("interface", self._claims)
        yield from self.routes.contested()

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        held = (self._endpoints, self._claims, self._holders, self._by_item, self._dirty, self._told)
        return not any(held) and self.routes.is_empty() and self.network.is_empty()

    def _programmed(self, endpoint_id: EndpointId) -> _Local | None:
        local = self._endpoints.get(endpoint_id)
        held = local is not None and self._holders.get(local.spec.interface_name) == endpoint_id
        return local if held else None

    def _endpoint(self, endpoint_id: EndpointId, local: _Local, lists: PolicyLists) -> Endpoint:
        self.made += 1
        migration = self._migrations.of(endpoint_id, local.spec, local.item)
        return _endpoint(endpoint_id, local, lists.of_workload(local.item, local.profiles), migration)

    def _tell(self, endpoint: Endpoint) -> Iterator[Endpoint]:
        if self._told.get(endpoint.id) != endpoint:
            self._told[endpoint.id] = endpoint
            yield endpoint

    def _settle(self, interface: str) -> None:
        """Give the interface to the lowest of those that claim it."""
        claims = self._claims[interface]
        old, new = self._holders.get(interface), min(claims, default=None)
        if not claims:
            del self._claims[interface]
        if old == new:
            return
        if old is not None:
            self._unseat(old)
        if new is not None:
            self._seat(new)

    def _seat(self, endpoint_id: EndpointId) -> None:
        local = self._endpoints[endpoint_id]
        self._holders[local.spec.interface_name] = endpoint_id
        self._subjects.enter(local.item)
        self._profiles.acquire(local.profiles)
        self.routes.claim(endpoint_id, local.spec.interface_name, local.routed)
        self.network.put(endpoint_id, local.asked)
        self._dirty.add(endpoint_id)

    def _unseat(self, endpoint_id: EndpointId) -> None:
        local = self._endpoints[endpoint_id]
        del self._holders[local.spec.interface_name]
        self._subjects.leave(local.item)
        self._profiles.release(local.profiles)
        self.routes.disclaim(endpoint_id, local.routed)
        self.network.remove(endpoint_id)
        self._dirty.add(endpoint_id)


def _endpoint(
    endpoint_id: EndpointId, local: _Local, governing: tuple[PolicyList, PolicyList], migration: Migration
) -> Endpoint:
    ingress, egress = governing
    return Endpoint(
        id=endpoint_id,
        interface=local.spec.interface_name,
        addresses=local.addresses,
        ingress=ingress,
        egress=egress,
        mac=local.spec.mac,
        allowed_sources=local.asked.sources,
        ingress_limits=limits(local.spec.qos_controls, Direction.INGRESS),
        egress_limits=limits(local.spec.qos_controls, Direction.EGRESS),
        migration=migration,
    )
