"""Attaching and detaching workloads on behalf of the CNI plugin: addresses, cable, endpoint, and the proof
that policy stands before the workload starts.

Order of ADD: addresses, cable, WorkloadEndpoint, then wait until the kernel filters and routes for it;
whatever fails takes back what came before. Order of DEL: endpoint, cable, then the addresses, which
nobody can be given while a route or a filter of the old owner stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import structlog

from tortie.agent.attached_endpoint import Names, network_profile
from tortie.agent.pod_wishes import PodWishes, pod_wishes
from tortie.agent.podman import container_labels
from tortie.agent.stale_attachments import stale_requests
from tortie.agent.workload_addresses import Assigned, WorkloadAddresses
from tortie.api import formats
from tortie.api.resource import ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.errors import AlreadyExists, Conflict, NotFound, TortieError
from tortie.cni.checking import check_cable, expected
from tortie.cni.errors import CONTAINER_UNKNOWN, NOT_AS_ADDED, TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request
from tortie.cni.result import Attachment, ResultRoute
from tortie.cni.wiring import GATEWAY4, GATEWAY6, HOST_MAC, Cable, unwire, wire
from tortie.datastore.resources import ResourceStore
from tortie.desired.endpoints import EndpointId

PROGRAMMING_TIMEOUT = 30.0
"""Seconds that ADD waits for policy and routes before it gives up and takes everything back."""

_WRITE_ATTEMPTS = 20

_DEFAULT_ROUTES = (ResultRoute(Cidr(4, 0, 0), GATEWAY4.text), ResultRoute(Cidr(6, 0, 0), GATEWAY6.text))

Result = TypeVar("Result")


class Programming(Protocol):
    """What tells how far the kernel is with an endpoint."""

    async def programmed(self, identity: EndpointId, revision: int) -> None:
        """Return once it is in the kernel as it was written at a revision."""

    def hindrance(self, identity: EndpointId) -> str:
        """What keeps it from being there, in words; empty when nothing is known of."""

    @property
    def endpoints(self) -> Collection[EndpointId]:
        """Those of this node."""


class Attachments:
    """The attachments of one node.

    Args:
        names: what it calls endpoints.
        store: the datastore's resources.
        addresses: gives and takes them.
        executor: a thread in the node's network namespace, for wiring.
        programming: tells when an endpoint is in the kernel.
        mtu: tells that of workloads whose runtime does not; 0 is the kernel's default.
    """

    def __init__(
        self,
        names: Names,
        store: ResourceStore,
        addresses: WorkloadAddresses,
        executor: Executor,
        programming: Programming,
        mtu: Callable[[], int] = int,
    ) -> None:
        self._names = names
        self._store = store
        self._addresses = addresses
        self._executor = executor
        self._programming = programming
        self._mtu = mtu
        self._log = structlog.get_logger("tortie.attachments")

    async def add(self, request: Request) -> Attachment:
        """Attach a workload. Raises CniError, or another TortieError to be tried again."""
        self._refuse_foreign(request)
        wired = False
        try:
            wishes = await pod_wishes(request, self._store)
            labels = await self._labels(request)
            assigned = await self._addresses.assign(request, wishes)
            cable = self._cable(request, wishes, assigned)
            # From here on there may be a cable of ours: wiring goes on in its thread even when we are cancelled.
            wired = True
            mac = await self._in_thread(partial(wire, cable))
            await self._publish(request, wishes, self._names.endpoint(request, labels, cable.addresses, mac))
        except BaseException:
            await asyncio.shield(self._take_back(request, wired))
            raise
        return _attachment(request, cable, mac, assigned)

    async def delete(self, request: Request) -> None:
        """Detach a workload; whatever is already gone is no error."""
        await self._detach(request, wired=False)

    async def check(self, request: Request) -> None:
        """Raises CniError: a workload is not, or no longer, as it was attached."""
        self._refuse_foreign(request)
        host_interface = self._names.host_interface(request)
        wanted = expected(request.config.previous, request.interface, request.netns, host_interface)
        endpoint = await self._store.get(self._names.key(request))
        if not isinstance(endpoint, WorkloadEndpoint) or endpoint.spec.container_id != request.container_id:
            raise CniError(CONTAINER_UNKNOWN, "the workload is not attached", str(self._names.key(request)))
        known = set(map(Cidr.host, endpoint.spec.ip_networks))
        if foreign := [one.text for one in wanted.addresses if one not in known]:
            raise CniError(NOT_AS_ADDED, "the workload is known with other addresses", ", ".join(foreign))
        await self._in_thread(partial(check_cable, wanted))
        await self._addresses.check(request)
        await self._wait_programmed(request, endpoint, int(endpoint.metadata.resource_version))

    async def status(self, request: Request) -> None:
        """Raises CniError: nobody could be attached now."""
        self._refuse_foreign(request)
        await self._addresses.status(request)

    async def stale(self, request: Request) -> Sequence[Request]:
        """DELs of what a network has here and its runtime no longer knows. Raises CniError."""
        endpoints = [await self._store.get(_key(identity)) for identity in sorted(self._programming.endpoints)]
        return stale_requests(request, [one for one in endpoints if isinstance(one, WorkloadEndpoint)])

    def _refuse_foreign(self, request: Request) -> None:
        self._names.require(request.config.nodename)

    async def _detach(self, request: Request, *, wired: bool) -> None:
        """Undo an attachment; `wired` says that the cable is this sandbox's, whoever has the endpoint."""
        is_gone = await self._delete_endpoint(request)
        if is_gone or wired:
            await self._in_thread(partial(unwire, self._names.host_interface(request)))
        await self._addresses.release(request, is_gone)

    def _cable(self, request: Request, wishes: PodWishes, assigned: Assigned) -> Cable:
        config = request.config
        return Cable(
            host_interface=self._names.host_interface(request),
            interface=request.interface,
            netns=Path(request.netns),
            addresses=assigned.addresses,
            mtu=config.mtu or self._mtu(),
            mac=wishes.mac,
            queues=config.queues,
            forwarding=config.container_settings.allow_ip_forwarding,
        )

    async def _labels(self, request: Request) -> dict[str, str]:
        """Those that the workload brings, but for what can be no label."""
        found = dict(request.labels)
        if not request.pod and request.config.podman_directory:
            directory = Path(request.config.podman_directory)
            found |= await asyncio.to_thread(container_labels, directory, request.container_id)
        if refused := [name for name, value in found.items() if not _is_label(name, value)]:
            self._log.warning("labels_not_heeded", container=request.container_id, labels=refused)
        return {name: value for name, value in found.items() if name not in refused}

    async def _publish(self, request: Request, wishes: PodWishes, plain: WorkloadEndpoint) -> None:
        """Write the endpoint, and wait until the kernel filters and routes for it."""
        spec, warnings = wishes.heeded(plain.spec, tuple(map(Cidr.host, plain.spec.ip_networks)))
        for warning in warnings:
            self._log.warning("annotation_not_heeded", endpoint=str(plain.key), reason=warning)
        if not request.pod:
            await self._ensure_profile(request.config.name)
        endpoint = msgspec.structs.replace(plain, spec=spec)
        await self._wait_programmed(request, endpoint, await self._write(endpoint))

    async def _ensure_profile(self, network: str) -> None:
        profile = network_profile(network)
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
                    notes = old.metadata.annotations | endpoint.metadata.annotations
                    labels = endpoint.metadata.labels
                    metadata = msgspec.structs.replace(old.metadata, labels=labels, annotations=notes)
                    written = await self._store.update(msgspec.structs.replace(endpoint, metadata=metadata))
                return int(written.metadata.resource_version)
            except Conflict:
                continue
        raise CniError(TRY_AGAIN_LATER, "the endpoint is being written by others", str(endpoint.key))

    async def _wait_programmed(self, request: Request, endpoint: WorkloadEndpoint, revision: int) -> None:
        patience = request.config.policy_timeout
        if patience == 0:
            return
        identity = EndpointId(endpoint.metadata.namespace, endpoint.metadata.name)
        try:
            async with asyncio.timeout(PROGRAMMING_TIMEOUT if patience is None else patience):
                await self._programming.programmed(identity, revision)
        except TimeoutError as error:
            hindrance = self._programming.hindrance(identity)
            place = f"see `tortie node status` on {endpoint.spec.node} for what {identity} waits for"
            raise CniError(
                TRY_AGAIN_LATER,
                "policy and routes were not programmed in time",
                f"{hindrance}; {place}" if hindrance else place,
            ) from error

    async def _delete_endpoint(self, request: Request) -> bool:
        """Delete the endpoint unless a newer sandbox of the same pod owns it, and with it the cable: then false."""
        key = self._names.key(request)
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


def _attachment(request: Request, cable: Cable, mac: str, assigned: Assigned) -> Attachment:
    families = {address.family for address in cable.addresses} if request.config.include_default_routes else set()
    defaults = tuple(one for one in _DEFAULT_ROUTES if one.destination.family in families)
    return Attachment(
        host_interface=cable.host_interface,
        host_mac=HOST_MAC,
        interface=cable.interface,
        mac=mac,
        netns=request.netns,
        addresses=cable.addresses,
        mtu=cable.mtu,
        routes=defaults + tuple(one for one in assigned.routes if one not in defaults),
        dns=request.dns(assigned.dns),
    )


def _key(identity: EndpointId) -> ResourceKey:
    return ResourceKey(WorkloadEndpoint.kind, identity.namespace, identity.name)


def _is_label(name: str, value: str) -> bool:
    return formats.LABEL_KEY.accepts(name) and formats.LABEL_VALUE.accepts(value)
