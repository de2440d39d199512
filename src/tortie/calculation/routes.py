"""Routes to the endpoints of this node: one per address, however many claim it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.base.addresses import Cidr
from tortie.calculation.contested import contested
from tortie.desired.endpoints import EndpointId
from tortie.desired.routes import Route


class LocalRoutes:
    """Of endpoints that claim one address the one with the lowest id gets the traffic."""

    def __init__(self) -> None:
        self._claims: dict[Cidr, dict[EndpointId, str]] = {}
        self._told: dict[Cidr, Route] = {}
        self._dirty: set[Cidr] = set()

    def claim(self, endpoint_id: EndpointId, interface: str, addresses: Iterable[Cidr]) -> None:
        """An endpoint is reached through an interface."""
        for address in addresses:
            self._claims.setdefault(address, {})[endpoint_id] = interface
            self._dirty.add(address)

    def disclaim(self, endpoint_id: EndpointId, addresses: Iterable[Cidr]) -> None:
        """An endpoint gives its addresses back."""
        for address in addresses:
            del self._claims[address][endpoint_id]
            if not self._claims[address]:
                del self._claims[address]
            self._dirty.add(address)

    def flush(self) -> tuple[list[Route], list[Cidr]]:
        """What is new or different since the last flush, and what is gone."""
        changed: list[Route] = []
        removed: list[Cidr] = []
        dirty, self._dirty = sorted(self._dirty), set()
        for address in dirty:
            claims = self._claims.get(address)
            if claims is None:
                if self._told.pop(address, None) is not None:
                    removed.append(address)
                continue
            route = Route(address, claims[min(claims)])
            if self._told.get(address) != route:
                self._told[address] = route
                changed.append(route)
        return changed, removed

    def contested(self) -> Iterator[str]:
        """Addresses that several endpoints claim."""
        return contested("address", self._claims)

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._claims or self._told or self._dirty)
