"""Attaching and detaching workloads on behalf of the CNI plugin: addresses, cable, endpoint, and the proof
that policy stands before the workload starts.

Order of ADD: addresses, cable, WorkloadEndpoint, then wait until the kernel filters and routes for it;
whatever fails takes back what came before. Order of DEL: endpoint, cable, then the addresses, which
nobody can be given while a route or a filter of the old owner stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import structlog

from tortie.agent.pod_wishes import PodWishes, pod_wishes
from tortie.api.endpointnames import host_interface_name, workload_endpoint_name
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock, SystemClock
from tortie.base.errors import AlreadyExists, Conflict, NotFound, TortieError
from tortie.cni.errors import ASSIGNMENT_FAILED, TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request
from tortie.cni.result import Attachment
from tortie.cni.wiring import HOST_MAC, Cable, unwire, wire
from tortie.datastore.resources import ResourceStore
from tortie.desired.endpoints import EndpointId
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest
from tortie.ipam.timestamps import attribute_time

PROGRAMMING_TIMEOUT = 30.0
"""Seconds that ADD waits for policy and routes before it gives up and takes everything back."""

_WRITE_ATTEMPTS = 20

_NAMESPACE_LABEL = "pcns."
"""What a namespace's labels are prefixed with when endpoints inherit them."""

Result = TypeVar("Result")


class Programming(Protocol):
    """What tells how far the kernel is with an endpoint."""

    async def programmed(self, identity: EndpointId, revision: int) -> None:
        """Return once it is in the kernel as it was written at a revision."""

    def hindrance(self, identity: EndpointId) -> str:
        """What keeps it from being there, in words; empty when nothing is known of."""


class Attachments:
    """The attachments of one node.

    Args:
        node: its name.
        prefix: how names of workload interfaces begin.
        store, allocator: the datastore's resources and addresses.
        executor: a thread in the node's network namespace, for wiring.
        programming: tells when an endpoint is in the kernel.
        mtu: tells that of workloads whose runtime does not; 0 is the kernel's default.
        clock: tells when addresses were given.
    """

    def __init__(
        self,
        node: str,
        prefix: str,
        store: ResourceStore,
        allocator: Allocator,
        executor: Executor,
        programming: Programming,
        mtu: Callable[[], int] = int,
        clock: Clock | None = None,
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._store = store
        self._allocator = allocator
        self._executor = executor
        self._programming = programming
        self._mtu = mtu
        self._clock = clock or SystemClock()
        self._log = structlog.get_logger("tortie.attachments")

    async def add(self, request: Request) -> Attachment:
        """Attach a workload. Raises CniError, or another TortieError to be tried again."""
        wired = False
        try:
            wishes = await pod_wishes(request, self._store)
            cable = self._cable(request, await self._assign(request, wishes))
            # From here on there may be a cable of ours: wiring goes on in its thread even when we are cancelled.
            wired = True
            mac = await self._in_thread(partial(wire, cable))
            await self._publish(request, cable, mac, wishes)
        except BaseException:
            await asyncio.shield(self._take_back(request, wired))
            raise
        return Attachment(
            host_interface=cable.host_interface,
            host_mac=HOST_MAC,
            interface=cable.interface,
            mac=mac,
            netns=request.netns,
            addresses=cable.addresses,
            mtu=cable.mtu,
        )

    async def delete(self, request: Request) -> None:
        """Detach a workload; whatever is already gone is no error."""
        await self._detach(request, wired=False)

    async def _detach(self, request: Request, *, wired: bool) -> None:
        """Undo an attachment; `wired` says that the cable is this sandbox's, whoever has the endpoint."""
        is_gone = await self._delete_endpoint(request)
        if is_gone or wired:
            await self._in_thread(partial(unwire, self._host_interface(request)))
        await self._allocator.release_by_handle(request.handle)
        if is_gone and request.pod:
            # What an older plugin assigned: its handles named the pod, not the sandbox.
            await self._allocator.release_by_handle(f"{request.namespace}.{request.pod}")

    def _cable(self, request: Request, addresses: tuple[Cidr, ...]) -> Cable:
        return Cable(
            host_interface=self._host_interface(request),
            interface=request.interface,
            netns=Path(request.netns),
            addresses=addresses,
            mtu=request.config.mtu or self._mtu(),
        )

    async def _publish(self, request: Request, cable: Cable, mac: str, wishes: PodWishes) -> None:
        """Write the endpoint, and wait until the kernel filters and routes for it."""
        endpoint = self._heeding(wishes, self._endpoint(request, cable.addresses, mac), cable)
        await self._ensure_profile(request)
        await self._wait_programmed(endpoint, await self._write(endpoint))

    def _heeding(self, wishes: PodWishes, endpoint: WorkloadEndpoint, cable: Cable) -> WorkloadEndpoint:
        spec, warnings = wishes.heeded(endpoint.spec, cable.addresses)
        for warning in warnings:
            self._log.warning("annotation_not_heeded", endpoint=str(endpoint.key), reason=warning)
        return msgspec.structs.replace(endpoint, spec=spec)

    async def _assign(self, request: Request, wishes: PodWishes) -> tuple[Cidr, ...]:
        attributes = self._attributes(request)
        if requested := wishes.addresses:
            for address in requested:
                await self._allocator.assign_address(
                    address, self._node, request.handle, attributes | {"note": "this address was asked for"}, "Workload"
                )
            return requested
        assignment = await self._allocator.auto_assign(
            AssignRequest(
                node=self._node,
                num4=int(request.wants(4)),
                num6=int(request.wants(6)),
                handle=request.handle,
                attributes=attributes,
                pools4=wishes.pools4 or request.config.ipam.ipv4_pools,
                pools6=wishes.pools6 or request.config.ipam.ipv6_pools,
                namespace_labels=await self._namespace_labels(request),
                # An ADD that is repeated gets what it got.
                max_per_handle=1,
                all_or_nothing=True,
            )
        )
        addresses = tuple(Cidr(one.family, one.address, one.bits) for one in (*assignment.v4, *assignment.v6))
        if not addresses:
            raise CniError(ASSIGNMENT_FAILED, "no address was asked for", "enable assign_ipv4 or assign_ipv6")
        return addresses

    async def _namespace_labels(self, request: Request) -> dict[str, str]:
        """Labels of the workload's namespace, as its profile hands them on."""
        profile = await self._store.get(ResourceKey("Profile", "", f"kns.{request.namespace}"))
        if not isinstance(profile, Profile):
            return {}
        labels = profile.spec.labels_to_apply
        return {name.removeprefix(_NAMESPACE_LABEL): value for name, value in labels.items()}

    def _attributes(self, request: Request) -> dict[str, str]:
        facts = {
            "node": self._node,
            "pod": request.pod,
            "namespace": request.namespace,
            "timestamp": attribute_time(self._clock.now()),
        }
        return {name: value for name, value in facts.items() if value}

    def _endpoint(self, request: Request, addresses: tuple[Cidr, ...], mac: str) -> WorkloadEndpoint:
        namespace = request.namespace or "default"
        orchestrator = "k8s" if request.pod else "cni"
        profile = f"kns.{namespace}" if request.pod else request.config.name
        return WorkloadEndpoint(
            metadata=Metadata(
                name=self._endpoint_name(request),
                namespace=namespace,
                labels=request.labels
                | {"projectcalico.org/namespace": namespace, "projectcalico.org/orchestrator": orchestrator},
            ),
            spec=WorkloadEndpointSpec(
                orchestrator=orchestrator,
                node=self._node,
                container_id=request.container_id,
                pod=request.pod,
                endpoint=request.interface,
                ip_networks=tuple(str(address) for address in addresses),
                profiles=(profile,),
                interface_name=self._host_interface(request),
                mac=mac,
            ),
        )

    def _endpoint_name(self, request: Request) -> str:
        if request.pod:
            return workload_endpoint_name(self._node, "k8s", request.pod, request.interface)
        return workload_endpoint_name(self._node, "cni", request.container_id, request.interface)

    def _host_interface(self, request: Request) -> str:
        return host_interface_name(self._prefix, request.namespace, request.pod, request.container_id)

    async def _ensure_profile(self, request: Request) -> None:
        """Outside Kubernetes each network has a profile of its name: its members may talk to each other."""
        if request.pod:
            return
        name = request.config.name
        profile = Profile(
            metadata=Metadata(name=name),
            spec=ProfileSpec(
                ingress=(Rule(action="Allow", source=EntityRule(selector=f"has({name})")),),
                egress=(Rule(action="Allow"),),
                labels_to_apply={name: ""},
            ),
        )
        # Agents may be forbidden to write profiles: where an operator has made it, that is enough.
        if await self._store.get(profile.key) is None:
            with contextlib.suppress(AlreadyExists):
                await self._store.create(profile)

    async def _write(self, endpoint: WorkloadEndpoint) -> int:
        """Create the endpoint, or take over the one that an older sandbox of the same pod left; its revision."""
        for _ in range(_WRITE_ATTEMPTS):
            try:
                old = await self._store.get(endpoint.key)
                if old is None:
                    written = await self._store.create(endpoint)
                else:
                    metadata = msgspec.structs.replace(old.metadata, labels=endpoint.metadata.labels)
                    written = await self._store.update(msgspec.structs.replace(endpoint, metadata=metadata))
                return int(written.metadata.resource_version)
            except Conflict:
                continue
        raise CniError(TRY_AGAIN_LATER, "the endpoint is being written by others", str(endpoint.key))

    async def _wait_programmed(self, endpoint: WorkloadEndpoint, revision: int) -> None:
        identity = EndpointId(endpoint.metadata.namespace, endpoint.metadata.name)
        try:
            async with asyncio.timeout(PROGRAMMING_TIMEOUT):
                await self._programming.programmed(identity, revision)
        except TimeoutError as error:
            hindrance = self._programming.hindrance(identity)
            place = f"see `tortie node status` on {self._node} for what {identity} waits for"
            raise CniError(
                TRY_AGAIN_LATER,
                "policy and routes were not programmed in time",
                f"{hindrance}; {place}" if hindrance else place,
            ) from error

    async def _delete_endpoint(self, request: Request) -> bool:
        """Delete the endpoint unless a newer sandbox of the same pod owns it, and with it the cable: then false."""
        key = ResourceKey("WorkloadEndpoint", request.namespace or "default", self._endpoint_name(request))
        for _ in range(_WRITE_ATTEMPTS):
            old = await self._store.get(key)
            if not isinstance(old, WorkloadEndpoint):
                return True
            if old.spec.container_id != request.container_id:
                return False
            try:
                await self._store.delete(key, int(old.metadata.resource_version))
                return True
            except NotFound:
                return True
            except Conflict:
                continue
        raise CniError(TRY_AGAIN_LATER, "the endpoint is being written by others", str(key))

    async def _take_back(self, request: Request, wired: bool) -> None:
        try:
            await self._detach(request, wired=wired)
        except TortieError as error:
            # The runtime sends DEL after a failed ADD; that tries again.
            self._log.warning("attachment_not_taken_back", container=request.container_id, error=str(error))

    async def _in_thread(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)
