"""The part of a plan that concerns workload interfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tortie.base.hashes import hash64
from tortie.dataplane.nftables.chain_plan import ChainPlan
from tortie.dataplane.nftables.chains import Seat
from tortie.dataplane.nftables.layout import workload
from tortie.dataplane.nftables.model import Kernel
from tortie.dataplane.nftables.operations import PutWorkload
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Direction, PolicyList
from tortie.desired.state import DesiredState


class WorkloadPlan:
    """Collects operations on interfaces.

    An inactive endpoint is one that the kernel does not know: its interface is dropped from. Of several
    endpoints that claim one interface, the one whose id sorts first has it.
    """

    def __init__(self, desired: DesiredState, kernel: Kernel, chains: ChainPlan) -> None:
        self._desired = desired
        self._kernel = kernel
        self._chains = chains
        self.operations: list[PutWorkload] = []

    def put_all(self) -> None:
        """Every endpoint; interfaces that none has are taken away."""
        owners = self._owners(lambda _: True)
        for interface in sorted(self._kernel.workloads.keys() | owners.keys()):
            self._put(interface, owners, self._chains.put_list)

    def put_changed(self, endpoints: Iterable[EndpointId]) -> None:
        """Interfaces that these endpoints have or had."""
        touched = set()
        for endpoint_id in endpoints:
            endpoint = self._desired.endpoints.get(endpoint_id)
            had = self._kernel.interfaces.get(hash64(str(endpoint_id)))
            touched |= {name for name in (endpoint and endpoint.interface, had) if name}
        owners = self._owners(touched.__contains__) if touched else {}
        for interface in sorted(touched):
            self._put(interface, owners, self._chains.known_list)

    def _owners(self, is_wanted: Callable[[str], bool]) -> dict[str, Endpoint]:
        """Active endpoints by interface."""
        owners: dict[str, Endpoint] = {}
        for endpoint in self._desired.endpoints.values():
            if endpoint.active and is_wanted(endpoint.interface):
                rival = owners.get(endpoint.interface)
                if rival is None or endpoint.id < rival.id:
                    owners[endpoint.interface] = endpoint
        return owners

    def _put(self, interface: str, owners: Mapping[str, Endpoint], put_list: Callable[[PolicyList, Seat], str]) -> None:
        old, new = self._kernel.workloads.get(interface), None
        if endpoint := owners.get(interface):
            egress = put_list(endpoint.egress, Direction.EGRESS)
            ingress = put_list(endpoint.ingress, Direction.INGRESS)
            new = workload(endpoint, egress, ingress)
        if new != old:
            self.operations.append(PutWorkload(interface, old, new))
