"""Kernel notifications to the reconciler: links and addresses that come and go, and what others did to what is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import Executor

import msgspec

from tortie.base.addresses import Cidr
from tortie.dataplane.ipip import IpipTarget
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.routes import RoutesTarget
from tortie.dataplane.vxlan import VxlanTarget
from tortie.dataplane.wireguard.devices import WireguardTarget
from tortie.dataplane.wireguard.routing import EncryptionTarget
from tortie.netlink.address_table import AddressTable
from tortie.netlink.addresses import Address, list_addresses
from tortie.netlink.links import Link, list_links
from tortie.netlink.monitor import AddressEvent, Event, LinkEvent, LinkTable, Monitor, Resync, RouteEvent
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

_LINK_LOCAL = (Cidr.parse("169.254.0.0/16"), Cidr.parse("fe80::/10"))


class Encrypted(msgspec.Struct, frozen=True):
    """What is WireGuard's."""

    devices: WireguardTarget
    routes: EncryptionTarget

    def changed(self, link: Link | None, name: str, reconciler: Reconciler) -> None:
        """An interface of the host is otherwise than before."""
        if self.devices.has_drifted(link, name):
            reconciler.drifted(self.devices.name)
        if self.routes.is_device(name):
            reconciler.drifted(self.routes.name)


class LinkWatch:
    """Follows links, addresses and routes of one network namespace for the life of an agent.

    Args:
        links: kept current.
        addresses: kept current too.
        routes: tells which route changes are someone else's.
        executor: a thread in the namespace.
        prefix: how names of workload interfaces begin.
        vxlan, encrypted, ipip: tell which changes of tunnels are someone else's.
    """

    def __init__(
        self,
        links: LinkTable,
        addresses: AddressTable,
        routes: RoutesTarget,
        executor: Executor,
        prefix: str,
        vxlan: VxlanTarget | None = None,
        encrypted: Encrypted | None = None,
        ipip: IpipTarget | None = None,
    ) -> None:
        self._ipip = ipip
        self._vxlan = vxlan
        self._encrypted = encrypted
        self._links = links
        self._addresses = addresses
        self._routes = routes
        self._executor = executor
        self._prefix = prefix
        self._lost = asyncio.Event()

    async def run(self, reconciler: Reconciler, watching: asyncio.Event) -> None:
        """Work until cancelled; `watching` is set once every link and address is known."""

        def heard(event: Event) -> None:
            self._heard(event, reconciler)

        loop = asyncio.get_running_loop()
        monitor = await loop.run_in_executor(self._executor, Monitor, heard, self._links, self._addresses)
        try:
            monitor.start(*await loop.run_in_executor(self._executor, _list))
            watching.set()
            while True:
                await self._lost.wait()
                self._lost.clear()
                monitor.resynchronised(*await loop.run_in_executor(self._executor, _list))
                for name in ("routes", "interfaces", "bandwidth"):
                    reconciler.drifted(name)
                encrypted = (self._encrypted.devices, self._encrypted.routes) if self._encrypted else ()
                for target in (self._vxlan, self._ipip, *encrypted):
                    if target is not None:
                        reconciler.drifted(target.name)
        finally:
            monitor.close()

    def is_workload(self, index: int) -> bool:
        """Whether the link of this index is a workload's."""
        return any(link.index == index and link.name.startswith(self._prefix) for link in self._links)

    def _heard(self, event: Event, reconciler: Reconciler) -> None:
        match event:
            case LinkEvent(name=name) if name.startswith(self._prefix):
                reconciler.interface_changed(name)
            case LinkEvent(name=name):
                # Routes out of it may be gone, if it was down for a moment.
                reconciler.interface_changed(name)
                self._host_changed(name, reconciler)
            case AddressEvent(index=index) if not self._links.name_of(index).startswith(self._prefix):
                self._host_changed(self._links.name_of(index), reconciler)
            case RouteEvent() if self._routes.is_foreign(event):
                reconciler.drifted("routes")
            case RouteEvent() if self._encrypted and self._encrypted.routes.is_foreign(event):
                reconciler.drifted(self._encrypted.routes.name)
            case Resync():
                self._lost.set()
            case _:
                pass

    def _host_changed(self, name: str, reconciler: Reconciler) -> None:
        reconciler.addresses_changed()
        link = self._links.get(name)
        held = self._addresses.of(link.index) if link else frozenset()
        if self._vxlan is not None and self._vxlan.has_drifted(link, name, held):
            reconciler.drifted(self._vxlan.name)
        if self._ipip is not None and self._ipip.has_drifted(link, name):
            reconciler.drifted(self._ipip.name)
        if self._encrypted is not None:
            self._encrypted.changed(link, name, reconciler)


def held_addresses(links: LinkTable, addresses: AddressTable) -> dict[str, frozenset[Cidr]]:
    """What each interface has."""
    return {link.name: addresses.of(link.index) for link in links}


def interfaces_of_host(held: Mapping[str, Collection[Cidr]], prefix: str) -> set[str]:
    """Interfaces that are not of workloads, whatever an endpoint says: they have addresses of the host.

    A prefix that changed makes none of the host's of those that workloads have had: nothing but link-local is there.
    """
    ours = (name for name in held if not name.startswith(prefix))
    return {name for name in ours if any(not _is_link_local(one) for one in held[name])}


def _is_link_local(address: Cidr) -> bool:
    return any(network.family == address.family and network.contains(address) for network in _LINK_LOCAL)


def _list() -> tuple[list[Link], list[Address]]:
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        return list_links(socket), list_addresses(socket)
