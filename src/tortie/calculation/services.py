"""Backends of services: the addresses and ports of EndpointSlices, by the service that the slices name.

Whether a backend is ready does not count: rules must hold for one that is about to end, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tortie.api.endpointslice import SERVICE_LABEL, EndpointSlice
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.problems import Problems
from tortie.calculation.protocols import KUBERNETES_PROTOCOLS
from tortie.calculation.setindex import port_suffix
from tortie.desired.packed import pack, unpack

ServiceName = str
"""Namespace and name, joined by a slash."""


class Slice(msgspec.Struct, frozen=True, gc=False):
    """What one slice contributes: every address on every port.

    Args:
        hosts4, hosts6: packed addresses, sorted and distinct.
        suffixes: what follows an address in a packed member of a port set, once for each port.
    """

    hosts4: bytes = b""
    hosts6: bytes = b""
    suffixes: tuple[bytes, ...] = ()

    def members(self, ports: bool) -> Iterator[bytes]:
        """Packed entries of address, protocol and port, or addresses only."""
        for host in (*unpack(self.hosts4, 4), *unpack(self.hosts6, 16)):
            if ports:
                yield from (host + suffix for suffix in self.suffixes)
            else:
                yield host

    def has(self, member: bytes, ports: bool) -> bool:
        """Whether this is one of the members."""
        host = member[:-3] if ports else member
        known = _holds(self.hosts4 if len(host) == 4 else self.hosts6, host)
        return known and (not ports or member[-3:] in self.suffixes)


NOTHING = Slice()


class Difference(msgspec.Struct, frozen=True, gc=False):
    """Members of a service that came and went."""

    added: set[bytes]
    removed: set[bytes]


class Services:
    """A service is what its slices make of it; without any it has no members."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._slices: dict[ServiceName, dict[ResourceKey, Slice]] = {}
        self._service_of: dict[ResourceKey, ServiceName] = {}
        self._before: dict[ServiceName, dict[ResourceKey, Slice]] = {}

    @property
    def changed(self) -> Iterable[ServiceName]:
        """Services of which a slice changed since `settle`."""
        return self._before.keys()

    def put(self, key: ResourceKey, slice: EndpointSlice | None) -> None:
        """Add, replace or, with None, remove a slice; one without the name of a service counts for none."""
        service, contents = self._read(key, slice) if slice is not None else (None, NOTHING)
        old = self._service_of.get(key)
        if old is not None and old != service:
            self._store(old, key, None)
            del self._service_of[key]
        if service is not None:
            self._store(service, key, contents)
            self._service_of[key] = service

    def members(self, service: ServiceName, ports: bool) -> set[bytes]:
        """All members of a service, packed."""
        return _members(self._slices.get(service, {}).values(), ports)

    def difference(self, service: ServiceName, ports: bool) -> Difference:
        """What came and went since `settle`, by the slices that changed; members are looked up in the others."""
        slices, before = self._slices.get(service, {}), self._before[service]
        now = _members((slices[key] for key in before if key in slices), ports)
        then = _members(before.values(), ports)
        others = [slice for key, slice in slices.items() if key not in before]

        def held_elsewhere(member: bytes) -> bool:
            return any(slice.has(member, ports) for slice in others)

        return Difference(
            added={member for member in now - then if not held_elsewhere(member)},
            removed={member for member in then - now if not held_elsewhere(member)},
        )

    def settle(self) -> None:
        """Forget what was before: every set is up to date."""
        self._before = {}

    def is_empty(self) -> bool:
        """Whether no slice is held."""
        return not (self._slices or self._service_of)

    def _read(self, key: ResourceKey, slice: EndpointSlice) -> tuple[ServiceName | None, Slice]:
        name = slice.metadata.labels.get(SERVICE_LABEL)
        if not name:
            return None, NOTHING
        try:
            return f"{key.namespace}/{name}", _contents(slice)
        except ValueError as error:
            self._problems.note(key, error)
            return None, NOTHING

    def _store(self, service: ServiceName, key: ResourceKey, contents: Slice | None) -> None:
        slices = self._slices.setdefault(service, {})
        old = slices.get(key)
        if old == contents:
            return
        self._before.setdefault(service, {}).setdefault(key, old or NOTHING)
        if contents is not None:
            slices[key] = contents
            return
        del slices[key]
        if not slices:
            del self._slices[service]


def _members(slices: Iterable[Slice], ports: bool) -> set[bytes]:
    return {member for slice in slices for member in slice.members(ports)}


def _holds(packed: bytes, record: bytes) -> bool:
    """Whether a record is among those joined; a slice is so short that looking through it is fastest."""
    place = packed.find(record)
    while place % len(record) and place >= 0:
        place = packed.find(record, place + 1)
    return place >= 0


def _contents(slice: EndpointSlice) -> Slice:
    """What can be said in sets; names of hosts cannot, and a port without a number is none.

    Raises:
        ValueError: an address, protocol or port is none.
    """
    if slice.address_type == "FQDN":
        return NOTHING
    hosts = [_host(address) for backend in slice.endpoints for address in backend.addresses]
    return Slice(
        hosts4=pack([host for host in hosts if len(host) == 4], 4),
        hosts6=pack([host for host in hosts if len(host) == 16], 16),
        suffixes=tuple(sorted({_suffix(port.protocol, port.port) for port in slice.ports if port.port is not None})),
    )


def _host(address: str) -> bytes:
    cidr = Cidr.parse(address)
    if not cidr.is_host:
        raise ValueError(f"{address!r} is not an address")
    return cidr.packed


def _suffix(protocol: str, port: int) -> bytes:
    if protocol not in KUBERNETES_PROTOCOLS or not 0 < port < 1 << 16:
        raise ValueError(f"port {port} of {protocol or 'TCP'} is none")
    return port_suffix(KUBERNETES_PROTOCOLS[protocol], port)
