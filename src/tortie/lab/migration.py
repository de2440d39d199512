"""Workloads that change hosts while they run, step by step, as orchestrators of virtual machines make them.

The machine is a namespace with two cables for a while: what it sends leaves by the old one until it is switched, as
when a machine runs on where it arrived, and then it announces itself on the new one.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec

from tortie.api.endpointnames import host_interface_name, workload_endpoint_name
from tortie.api.livemigration import (
    LiveMigration,
    LiveMigrationSpec,
    MigrationSource,
    MigrationTarget,
    WorkloadEndpointIdentifier,
)
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.base.errors import NotFound, TortieError, Unavailable
from tortie.cni.wiring import Cable, unwire, wire
from tortie.dataplane.announcements import announcements
from tortie.datastore.contract import Datastore
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.lab.cluster import location
from tortie.lab.guest import CABLES, Guest
from tortie.lab.lab import Lab
from tortie.lab.services import NETWORK
from tortie.lab.state import Attachment
from tortie.lab.workload import INTERFACE, PREFIX
from tortie.netlink import links, route
from tortie.netlink.batch import execute
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket
from tortie.selector.check import selector_problem

_LOOK_AGAIN = 0.002
_PATIENCE = 15.0
Step = Callable[[ResourceStore, Allocator], Awaitable[None]]


def migrate(lab: Lab, name: str, host: str) -> Attachment:
    """Move a workload to another host while it runs, so that no packet is lost. When that fails it stays where it is.

    Raises:
        NotFound: unknown workload or host, or it is attached nowhere.
        Unavailable: the other host takes no workload now, or the routes did not follow in time.
    """
    lab.require_taking(host)
    if lab.attachment(name).host == host:
        return lab.attachment(name)
    one = Migration(lab, name, host)
    try:
        one.begin()
        one.switch()
        one.announce()
        one.wait_preferred()
    except TortieError:
        one.cancel()
        raise
    return one.finish()


class Migration:
    """One live migration of an attached workload: `begin`, `switch`, `announce`, and `finish` or `cancel`.

    Attributes:
        old, new: how the workload is attached to the host that it leaves and to the one that it goes to.
        key: of the LiveMigration.
        endpoint: of the workload on the new host.

    Raises:
        NotFound: unknown workload or host, or it is attached nowhere.
    """

    def __init__(self, lab: Lab, name: str, host: str) -> None:
        self._lab = lab
        self._workload = lab.topology.workload(name)
        self.old = lab.attachment(name)
        namespace = self._workload.namespace
        interface = host_interface_name(PREFIX, namespace, name, "")
        self.new = Attachment(lab.topology.host(host).name, self.old.addresses, interface, uuid.uuid4().hex)
        self.key = ResourceKey("LiveMigration", namespace, name)
        self.endpoint = self._endpoint(host)
        self._own = tuple(map(Cidr.host, self.old.addresses))
        self._guest = Guest(lab.topology.workload_namespace(name), tuple(sorted({one.family for one in self._own})))
        self._leaving = self._guest.cables()[0]
        self._arriving = next(one for one in CABLES if one != self._leaving)
        self._mac = ""

    def begin(self) -> None:
        """Make all ready on the new host, which then waits for the machine to announce itself there.

        Raises:
            KernelError, NotFound, Unavailable: some of it may be there; `cancel` removes it.
        """
        self.connect()
        self._store(self._publish)
        self._until(self._is_programmed, f"{self.new.host} has not programmed the endpoint")

    def connect(self) -> None:
        """Put the cable to the new host there, of which nobody knows yet. Raises KernelError, NotFound."""
        self._guest.hold(self._leaving)
        with inside(self._lab.namespace(self.new.host)):
            self._mac = wire(Cable(self.new.interface, self._arriving, self._guest.namespace, self._own))

    def appear(self) -> None:
        """Without notice: the old cable is dead, and the endpoint on the new host; `connect` goes before.

        Raises:
            KernelError, NotFound, Unavailable: the endpoint may be on both hosts, or on none.
        """
        self._store(self._replace)

    def switch(self) -> None:
        """The machine runs on the new host: what it sends leaves there from now on. Raises KernelError."""
        self._guest.release()

    def announce(self, *kinds: int) -> None:
        """The machine, or its hypervisor, announces itself. Raises KernelError.

        Args:
            kinds: places in what `announcements` makes: RARP, then one frame for each address; none is all of them.
        """
        frames = announcements(self._mac, self.old.addresses)
        for kind in kinds or range(len(frames)):
            self._guest.send(self._arriving, frames[kind])

    def wait_preferred(self) -> None:
        """Until every other host goes straight to the new one. Raises Unavailable."""
        others = [one.name for one in self._lab.topology.hosts if one.name != self.new.host]
        self._until(lambda: all(map(self.is_preferred_by, others)), f"not every host prefers {self.new.host}")

    def is_preferred_by(self, host: str) -> bool:
        """Whether a host reaches all of the workload's addresses through the new one."""
        with inside(self._lab.namespace(host)), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
            known = [one for family in self._guest.families for one in route.list_routes(rtnetlink, family)]
        return all(self._leads_there([each for each in known if each.destination == one]) for one in self._own)

    def finish(self) -> Attachment:
        """The old host has no part in it any more."""
        self._store(self._hand_over)
        self._lab.replace(self._workload.name, self.new)
        self._store(self._forget)
        return self.new

    def cancel(self) -> None:
        """The machine runs on where it was, and all is as before. Raises KernelError, Unavailable."""
        self._guest.use(self._leaving)
        self._guest.release()
        self._store(self._withdraw)
        with inside(self._lab.namespace(self.new.host)):
            unwire(self.new.interface)

    async def _publish(self, store: ResourceStore, _: Allocator) -> None:
        """First what is to happen, then the endpoint that it happens to."""
        arriving = await self._arriving_endpoint(store)
        spec = LiveMigrationSpec(
            source=MigrationSource(workload_endpoint=self._identifier(self.old.host)),
            target=MigrationTarget(workload_endpoint=self._identifier(self.new.host)),
        )
        await store.apply(LiveMigration(metadata=Metadata(name=self.key.name, namespace=self.key.namespace), spec=spec))
        await store.apply(arriving)

    async def _replace(self, store: ResourceStore, _: Allocator) -> None:
        arriving = await self._arriving_endpoint(store)
        with inside(self._lab.namespace(self.old.host)), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
            execute(rtnetlink, links.change(self.old.interface, up=False))
        self._guest.release()
        await store.apply(arriving)
        await store.delete(self._endpoint(self.old.host))

    async def _arriving_endpoint(self, store: ResourceStore) -> WorkloadEndpoint:
        """What the endpoint will be on the new host. Raises NotFound."""
        found = await store.get(self._endpoint(self.old.host))
        if not isinstance(found, WorkloadEndpoint):
            raise NotFound(f"workload endpoint of {self._workload.name} on {self.old.host}")
        spec = msgspec.structs.replace(
            found.spec,
            node=self.new.host,
            container_id=self.new.container_id,
            interface_name=self.new.interface,
            mac=self._mac,
        )
        metadata = Metadata(name=self.endpoint.name, namespace=self.endpoint.namespace, labels=found.metadata.labels)
        return WorkloadEndpoint(metadata=metadata, spec=spec)

    async def _hand_over(self, _: ResourceStore, allocator: Allocator) -> None:
        """The addresses are held for the new attachment; nobody else assigns any in a lab meanwhile."""
        attributes = {"node": self.new.host, "pod": self._workload.name, "namespace": self._workload.namespace}
        for one in await allocator.release_by_handle(_handle(self.old)):
            await allocator.assign_address(one, self.new.host, _handle(self.new), attributes, "Workload")

    async def _withdraw(self, store: ResourceStore, allocator: Allocator) -> None:
        await self._forget(store, allocator)
        with suppress(NotFound):
            await store.delete(self.endpoint)

    async def _forget(self, store: ResourceStore, _: Allocator) -> None:
        with suppress(NotFound):
            await store.delete(self.key)

    def _store(self, step: Step) -> None:
        asyncio.run(_with_datastore(self._lab, step))

    def _is_programmed(self) -> bool:
        """Agents set this after the packet filter knows an endpoint."""
        with inside(self._lab.namespace(self.new.host)):
            return Path(f"/proc/sys/net/ipv4/conf/{self.new.interface}/proxy_arp").read_text().strip() == "1"

    def _leads_there(self, known: list[route.Route]) -> bool:
        best = min(known, key=lambda one: one.metric, default=None)
        if best is None or best.gateway is None:
            return False
        return best.gateway.text == self._lab.topology.host(self.new.host).address(best.destination.family)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise Unavailable(f"{otherwise} after {_PATIENCE:g} s")
            time.sleep(_LOOK_AGAIN)

    def _endpoint(self, host: str) -> ResourceKey:
        name = workload_endpoint_name(host, "k8s", self._workload.name, INTERFACE)
        return ResourceKey("WorkloadEndpoint", self._workload.namespace, name)

    def _identifier(self, host: str) -> WorkloadEndpointIdentifier:
        workload = f"{self._workload.namespace}/{self._workload.name}"
        return WorkloadEndpointIdentifier(
            hostname=host, orchestrator_id="k8s", workload_id=workload, endpoint_id=INTERFACE
        )


def _handle(attachment: Attachment) -> str:
    return f"{NETWORK}.{attachment.container_id}"


async def _with_datastore(lab: Lab, step: Step) -> None:
    datastore: Datastore = await open_datastore(location(lab.topology))
    clock = SystemClock()
    try:
        await step(ResourceStore(datastore, clock, selector_problem), Allocator(datastore, clock, Random()))
    finally:
        await datastore.close()
