"""Whom people mean: ends by name, namespace, label or address, and services by port and protocol."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.analysis.cluster import Cluster, End
from tortie.analysis.packets import Field, PacketSet, Space
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.calculation.protocols import protocol_number
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse

HOW = "the name of a workload or pod or NAMESPACE/NAME, NAMESPACE/ for all of one, host/NAME, an address, or a selector"

_SIGNS = frozenset("='\"!&|( ")
"""What only selectors are written with."""


class Party(msgspec.Struct, frozen=True):
    """Whom a text names: ends of the cluster, or one address that is nobody's.

    Args:
        named: the address of the ends that the text is, if it is one.
    """

    text: str
    ends: tuple[End, ...] = ()
    address: Cidr | None = None
    named: Cidr | None = None


def find_party(cluster: Cluster, text: str, namespace: str = "default") -> Party:
    """Whom a text names.

    Args:
        namespace: where a name that stands alone is looked for first; then everywhere.

    Raises:
        InvalidResource: nobody, workloads of several namespaces, or not a selector.
    """
    text = text.strip()
    address = _address(text)
    if address is not None:
        ends = tuple(end for end in cluster.ends.values() if address in end.addresses)
        return Party(text, ends, None if ends else address, address)
    ends = () if not text else _selected(cluster, text) if _SIGNS & set(text) else _named(cluster, text, namespace)
    if not ends:
        raise InvalidResource(Problem(text, "", "names nobody in this cluster", f"give {HOW}"))
    return Party(text, ends)


def _address(text: str) -> Cidr | None:
    try:
        found = Cidr.parse(text)
    except ValueError:
        return None
    return found if found.is_host else None


def _selected(cluster: Cluster, text: str) -> tuple[End, ...]:
    try:
        selector = parse(text)
    except InvalidSelector as error:
        raise InvalidResource(Problem(text, "", str(error), f"give {HOW}")) from error
    return tuple(end for end in cluster.ends.values() if selector.matches(end.labels))


def _named(cluster: Cluster, text: str, namespace: str) -> tuple[End, ...]:
    place, slash, name = text.rpartition("/")
    if place == "host":
        key = ResourceKey("HostEndpoint", "", name)
        return (cluster.ends[key],) if key in cluster.ends else ()
    if slash:
        return _of_namespace(cluster.ends.values(), place, name)
    called = [end for end in cluster.ends.values() if end.key.namespace and name in (end.key.name, end.pod)]
    places = {end.key.namespace for end in called}
    if namespace not in places and len(places) > 1:
        several = ", ".join(f"{one}/{name}" for one in sorted(places))
        raise InvalidResource(Problem(text, "", "is in several namespaces", f"give one of {several}"))
    return _of_namespace(called, namespace if namespace in places else "".join(places), name)


def _of_namespace(ends: Iterable[End], namespace: str, name: str) -> tuple[End, ...]:
    return tuple(end for end in ends if end.key.namespace == namespace and name in ("", end.key.name, end.pod))


class Service(msgspec.Struct, frozen=True):
    """What is sent: a protocol and a destination port, where they are said."""

    protocol: int | None = None
    port: int | None = None

    def packets(self, space: Space) -> PacketSet:
        """All packets of it."""
        found = space.all if self.protocol is None else space.protocol(self.protocol)
        return found if self.port is None else found & space.ports(Field.DESTINATION_PORT, [(self.port, self.port)])


def read_service(text: str) -> Service:
    """A service as `80/tcp`, `tcp/80`, `80` (TCP), `icmp`, or `any`.

    Raises:
        InvalidResource: it cannot be read.
    """
    words = [word for word in text.strip().lower().split("/") if word]
    ports = [word for word in words if word.isdigit() and len(words) <= 2]
    others = [word for word in words if word not in ports]
    if words == ["any"]:
        return Service()
    try:
        protocol = protocol_number(others[0]) if others else 6
        port = int(ports[0]) if ports else None
        if not words or len(others) > 1 or len(ports) > 1 or (port is not None and not 1 <= port <= 65535):
            raise ValueError(text)
    except ValueError as error:
        remedy = "write PORT/PROTOCOL such as 80/tcp, a protocol such as icmp, or any"
        raise InvalidResource(Problem(repr(text), "", "is no port and protocol", remedy)) from error
    return Service(protocol, port)


def names(ends: Iterable[End], most: int = 3) -> str:
    """Some of them by name, and how many more there are."""
    found = sorted(end.name for end in ends)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
