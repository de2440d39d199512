"""What workloads of this node ask of its packet filter besides policy: floating addresses and code points."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tortie.api.hostendpoint import HostEndpoint
from tortie.api.workloadendpoint import WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.calculation.codepoints import CODE_POINT, code_point
from tortie.calculation.permissions import Permissions
from tortie.desired.endpoints import EndpointId
from tortie.desired.hosts import HostEndpointName
from tortie.desired.network import FloatingAddress

Asking = EndpointId | HostEndpointName


class Demands(msgspec.Struct, frozen=True, gc=False):
    """What one endpoint asks for; most ask for nothing of the whole node, and are false.

    Args:
        addresses: its own, which packets with the code point come from.
        sources: those besides that it may use, sorted.
    """

    floating: tuple[FloatingAddress, ...] = ()
    code_point: int | None = None
    addresses: tuple[Cidr, ...] = ()
    sources: tuple[Cidr, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.floating) or self.code_point is not None

    @property
    def externals(self) -> tuple[Cidr, ...]:
        """Its floating addresses, as others know them."""
        return tuple(sorted({one.external for one in self.floating}))


def demands(spec: WorkloadEndpointSpec, permissions: Permissions) -> Demands:
    """What an endpoint asks for, as far as that is permitted.

    Raises:
        ValueError: something cannot be read, permitted or not: what is permitted may change at any time.
    """
    value = code_point(spec.qos_controls.dscp) if spec.qos_controls else None
    own = tuple(map(Cidr.host, spec.ip_networks)) if value is not None else ()
    floating, sources = tuple(_floating(spec)), _sources(spec)
    return Demands(
        floating=floating if permissions.floating_ips else (),
        code_point=value,
        addresses=own,
        sources=sources if permissions.source_spoofing else (),
    )


def host_demands(endpoint: HostEndpoint) -> Demands:
    """What a host endpoint asks for: a code point for what the host sends from these addresses. Raises ValueError."""
    value = code_point(endpoint.metadata.annotations.get(CODE_POINT))
    return Demands(code_point=value, addresses=tuple(map(Cidr.host, endpoint.spec.expected_ips)))


class LocalNetwork:
    """What all endpoints that are programmed ask for."""

    def __init__(self) -> None:
        self._asked: dict[Asking, Demands] = {}
        self._is_dirty = False

    def put(self, endpoint_id: Asking, asked: Demands) -> None:
        """An endpoint is programmed from now on."""
        if asked:
            self._asked[endpoint_id] = asked
            self._is_dirty = True

    def replace(self, endpoint_id: Asking, asked: Demands) -> None:
        """It asks for something else than before, or for nothing."""
        self.remove(endpoint_id)
        self.put(endpoint_id, asked)

    def remove(self, endpoint_id: Asking) -> None:
        """It is programmed no longer."""
        self._is_dirty |= self._asked.pop(endpoint_id, None) is not None

    def take_changes(self) -> bool:
        """Whether something changed since this was last asked."""
        changed, self._is_dirty = self._is_dirty, False
        return changed

    def floating(self) -> tuple[FloatingAddress, ...]:
        """All, sorted; of several internal addresses of an external one the lowest counts."""
        found: dict[Cidr, FloatingAddress] = {}
        for one in sorted(one for asked in self._asked.values() for one in asked.floating):
            found.setdefault(one.external, one)
        return tuple(found.values())

    def code_points(self) -> dict[int, list[Cidr]]:
        """The addresses whose packets are to get each."""
        found: dict[int, list[Cidr]] = {}
        for asked in self._asked.values():
            if asked.code_point is not None:
                found.setdefault(asked.code_point, []).extend(asked.addresses)
        return found

    def is_empty(self) -> bool:
        """Whether nobody asks for anything."""
        return not self._asked


def _sources(spec: WorkloadEndpointSpec) -> tuple[Cidr, ...]:
    return tuple(sorted({Cidr.parse(text) for text in spec.allow_spoofed_source_prefixes}))


def _floating(spec: WorkloadEndpointSpec) -> Iterator[FloatingAddress]:
    for one in spec.ip_nats:
        external, internal = Cidr.host(one.external_ip), Cidr.host(one.internal_ip)
        if external.family != internal.family:
            raise ValueError(f"floating address {one.external_ip} is not of the family of {one.internal_ip}")
        yield FloatingAddress(external, internal)
