"""The addresses of attached workloads: from the cluster's pools, from another IPAM plugin, or from nobody."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.agent.pod_wishes import PodWishes
from tortie.api.ippool import IPPool
from tortie.api.node import Node
from tortie.api.profile import Profile
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.cni.configuration import Dns
from tortie.cni.delegate import delegated_add, delegated_check, delegated_delete, delegated_status
from tortie.cni.errors import ASSIGNMENT_FAILED, INVALID_NETWORK_CONFIG, NOT_AVAILABLE, CniError
from tortie.cni.request import Request
from tortie.cni.result import ResultRoute
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest
from tortie.ipam.timestamps import attribute_time

_NAMESPACE_LABEL = "pcns."
"""What a namespace's labels are prefixed with when endpoints inherit them."""


class Assigned(msgspec.Struct, frozen=True):
    """What a workload got; routes and name servers are those that an IPAM plugin wants told."""

    addresses: tuple[Cidr, ...]
    routes: tuple[ResultRoute, ...] = ()
    dns: Dns | None = None


class WorkloadAddresses:
    """Gives and takes the addresses of one node's workloads.

    Args:
        clock: tells when addresses were given.
    """

    def __init__(self, node: str, store: ResourceStore, allocator: Allocator, clock: Clock) -> None:
        self._node = node
        self._store = store
        self._allocator = allocator
        self._clock = clock

    async def assign(self, request: Request, wishes: PodWishes) -> Assigned:
        """Those of an ADD; one that is repeated gets what it got. Raises CniError, and what allocators raise."""
        if wishes.unmanaged:
            return Assigned(self._allowed(request, wishes))
        if request.config.ipam.delegate:
            given = await delegated_add(request, await self._pod_prefixes(request))
            assigned = Assigned(given.addresses, given.result_routes, given.dns)
        elif wishes.addresses:
            assigned = Assigned(await self._requested(request, wishes.addresses))
        else:
            assigned = Assigned(await self._chosen(request, wishes))
        if not assigned.addresses:
            raise CniError(ASSIGNMENT_FAILED, "no address was asked for", "enable assign_ipv4 or assign_ipv6")
        return assigned

    async def release(self, request: Request, is_gone: bool) -> None:
        """Give back what a sandbox has; `is_gone` says that its workload has no other."""
        if request.config.ipam.delegate:
            await delegated_delete(request, await self._pod_prefixes(request))
        await self._allocator.release_by_handle(request.handle)
        if is_gone and request.pod:
            # What an older plugin assigned: its handles named the pod, not the sandbox.
            await self._allocator.release_by_handle(f"{request.namespace}.{request.pod}")

    async def check(self, request: Request) -> None:
        """Raises CniError: another plugin gave the addresses, and does not know of them."""
        if request.config.ipam.delegate:
            await delegated_check(request, await self._pod_prefixes(request))

    async def status(self, request: Request) -> None:
        """Raises CniError: nobody could get an address now."""
        if request.config.ipam.delegate:
            await delegated_status(request, await self._pod_prefixes(request))
            return
        pools = await self._store.list(IPPool.kind)
        usable = {
            Cidr.parse(one.spec.cidr).family for one in pools if isinstance(one, IPPool) and not one.spec.disabled
        }
        if missing := [f"IPv{family}" for family in (4, 6) if request.wants(family) and family not in usable]:
            remedy = "see `tortie get ippools`, or switch the family off in the network's ipam"
            raise CniError(NOT_AVAILABLE, f"there is no enabled pool of {' or '.join(missing)}", remedy)

    def _allowed(self, request: Request, wishes: PodWishes) -> tuple[Cidr, ...]:
        if not request.config.feature_control.ip_addrs_no_ipam:
            remedy = "enable feature_control.ip_addrs_no_ipam in the network's configuration"
            raise CniError(INVALID_NETWORK_CONFIG, "addresses without IPAM are not allowed here", remedy)
        if wishes.addresses:
            raise CniError(INVALID_NETWORK_CONFIG, "addresses are asked for both with and without IPAM", "drop one")
        return wishes.unmanaged

    async def _requested(self, request: Request, wanted: Sequence[Cidr]) -> tuple[Cidr, ...]:
        has = await self._allocator.addresses_of(request.handle)
        attributes = self._attributes(request)
        for address in wanted:
            if address not in has:
                await self._allocator.assign_address(
                    address, self._node, request.handle, attributes | {"note": "this address was asked for"}, "Workload"
                )
        return tuple(wanted)

    async def _chosen(self, request: Request, wishes: PodWishes) -> tuple[Cidr, ...]:
        assignment = await self._allocator.auto_assign(
            AssignRequest(
                node=self._node,
                num4=int(request.wants(4)),
                num6=int(request.wants(6)),
                handle=request.handle,
                attributes=self._attributes(request),
                pools4=wishes.pools4 or request.config.ipam.ipv4_pools,
                pools6=wishes.pools6 or request.config.ipam.ipv6_pools,
                namespace_labels=await self._namespace_labels(request),
                # An ADD that is repeated gets what it got.
                max_per_handle=1,
                all_or_nothing=True,
            )
        )
        return tuple(Cidr(one.family, one.address, one.bits) for one in (*assignment.v4, *assignment.v6))

    async def _namespace_labels(self, request: Request) -> dict[str, str]:
        """Labels of the workload's namespace, as its profile hands them on."""
        if not request.pod:
            return {}
        profile = await self._store.get(ResourceKey("Profile", "", f"kns.{request.namespace}"))
        if not isinstance(profile, Profile):
            return {}
        labels = profile.spec.labels_to_apply
        return {name.removeprefix(_NAMESPACE_LABEL): value for name, value in labels.items()}

    async def _pod_prefixes(self, request: Request) -> tuple[str, ...]:
        if b"usePodCidr" not in request.data:
            return ()
        node = await self._store.get(ResourceKey(Node.kind, "", self._node))
        return node.status.pod_cidrs if isinstance(node, Node) else ()

    def _attributes(self, request: Request) -> dict[str, str]:
        facts = {
            "node": self._node,
            "pod": request.pod,
            "namespace": request.namespace,
            "timestamp": attribute_time(self._clock.now()),
        }
        return {name: value for name, value in facts.items() if value}
