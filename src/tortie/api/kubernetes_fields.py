"""What fields of Kubernetes objects may hold, as far as a wrong value would silently have no effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tortie.api import formats as f
from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.endpointslice import Backend, BackendPort, EndpointSlice
from tortie.api.field import LABELS, Field, one
from tortie.api.pod import ContainerPort
from tortie.api.service import ServicePort, ServiceSpec

PROTOCOL = one(f.one_of("TCP", "UDP", "SCTP"))
PORT_NUMBER = one(f.between(1, 65535))

KUBERNETES_FIELDS: dict[type[msgspec.Struct], dict[str, Field]] = {
    EndpointSlice: {"address_type": Field(format=f.one_of("IPv4", "IPv6", "FQDN"), required=True)},
    Backend: {"addresses": Field(required=True, most=100)},
    BackendPort: {"protocol": PROTOCOL, "port": PORT_NUMBER},
    ServiceSpec: {
        "selector": LABELS,
        "type": one(f.one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
        "external_ips": one(f.ADDRESS),
    },
    ServicePort: {
        "protocol": PROTOCOL,
        "port": Field(format=f.between(1, 65535), required=True),
        "target_port": one(f.SERVICE_PORT),
    },
    ContainerPort: {"protocol": PROTOCOL, "container_port": PORT_NUMBER},
}
"""Fields by struct and attribute."""

_ADDRESS_FORMATS = {"IPv4": f.IPV4_ADDRESS, "IPv6": f.IPV6_ADDRESS}


def _slice_search(slice: Any) -> Iterator[Finding]:
    """Addresses are of the slice's own type."""
    format = _ADDRESS_FORMATS.get(slice.address_type)
    for position, backend in enumerate(slice.endpoints if format else ()):
        for index, address in enumerate(backend.addresses):
            if format is not None and not format.accepts(address):
                yield f"endpoints[{position}].addresses[{index}]", f"{address!r} is not valid", format.expected


CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {EndpointSlice: _slice_search}
"""What takes more than one sentence, by struct."""
