"""The host endpoints of this node. Which interface each guards is not decided here: the kernel's addresses tell."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.api.hostendpoint import HostEndpointSpec
from tortie.base.addresses import Cidr
from tortie.calculation.policylists import PolicyLists
from tortie.calculation.profiles import ActiveProfiles
from tortie.calculation.subjects import Subjects
from tortie.desired.hosts import WILDCARD, HostEndpoint, HostEndpointName
from tortie.desired.policy import Stage


class _Local(msgspec.Struct, frozen=True, gc=False):
    """A host endpoint of this node, and its id in the label index."""

    item: int
    interface: str
    expected: tuple[Cidr, ...]
    profiles: tuple[str, ...]


class HostEndpoints:
    """All of this node, and what was last told of them."""

    def __init__(self, subjects: Subjects, profiles: ActiveProfiles) -> None:
        self._subjects = subjects
        self._profiles = profiles
        self._endpoints: dict[HostEndpointName, _Local] = {}
        self._by_item: dict[int, HostEndpointName] = {}
        self._dirty: set[HostEndpointName] = set()
        self._told: dict[HostEndpointName, HostEndpoint] = {}

    def put(self, name: HostEndpointName, spec: HostEndpointSpec, item: int) -> None:
        """Add or replace a host endpoint of this node."""
        self.remove(name)
        expected = tuple(sorted({Cidr.host(address) for address in spec.expected_ips}))
        local = _Local(item, spec.interface_name, expected, tuple(dict.fromkeys(spec.profiles)))
        self._endpoints[name] = local
        self._by_item[item] = name
        # All interfaces at once cannot do without connection tracking: too much would hang on it.
        stages = [stage for stage in Stage if stage is not Stage.UNTRACKED or local.interface != WILDCARD]
        self._subjects.enter(item, stages)
        self._profiles.acquire(local.profiles)
        self._dirty.add(name)

    def remove(self, name: HostEndpointName) -> None:
        """Take a host endpoint out, if it is there."""
        local = self._endpoints.pop(name, None)
        if local is None:
            return
        del self._by_item[local.item]
        self._subjects.leave(local.item)
        self._profiles.release(local.profiles)
        self._dirty.add(name)

    def flush(self, items: Iterable[int], lists: PolicyLists) -> tuple[list[HostEndpoint], list[HostEndpointName]]:
        """What is new or different since the last flush, and what is gone."""
        dirty, self._dirty = self._dirty, set()
        dirty.update(self._by_item[item] for item in items if item in self._by_item)
        changed: list[HostEndpoint] = []
        removed: list[HostEndpointName] = []
        for name in sorted(dirty):
            local = self._endpoints.get(name)
            if local is None:
                removed += [name] if self._told.pop(name, None) is not None else []
                continue
            endpoint = _endpoint(name, local, lists)
            if self._told.get(name) != endpoint:
                self._told[name] = endpoint
                changed.append(endpoint)
        return changed, removed

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._endpoints or self._by_item or self._dirty or self._told)


def _endpoint(name: HostEndpointName, local: _Local, lists: PolicyLists) -> HostEndpoint:
    governing = lists.of_host(local.item, local.profiles)
    return HostEndpoint(
        name=name,
        interface=local.interface,
        # A name excludes any search by address.
        expected=() if local.interface else local.expected,
        **msgspec.structs.asdict(governing),
    )
