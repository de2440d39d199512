"""The kernel's side of an agent: its reconciler targets in order, their sockets, and the kernel's notifications."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import msgspec

from tortie.agent.filter_settings import filter_settings
from tortie.agent.settings import Settings
from tortie.agent.watching import Encrypted, LinkWatch, held_addresses, interfaces_of_host
from tortie.agent.wireguard_settings import device_names
from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.bgp.target import BirdTarget
from tortie.dataplane.bandwidth import BandwidthTarget
from tortie.dataplane.interfaces import InterfacesTarget
from tortie.dataplane.ipip import IpipTarget
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.dataplane.routes import PROTOCOL, RoutesTarget
from tortie.dataplane.target import Target
from tortie.dataplane.underlay import Underlay
from tortie.dataplane.vxlan import VxlanSettings, VxlanTarget
from tortie.dataplane.wireguard.devices import WireguardTarget
from tortie.dataplane.wireguard.driver import Driver
from tortie.dataplane.wireguard.keys import KeyFiles
from tortie.dataplane.wireguard.routing import EncryptionTarget
from tortie.dataplane.wireguard.userspace import Userspace
from tortie.desired.state import DesiredState
from tortie.netlink import netconf, route
from tortie.netlink.address_table import AddressTable
from tortie.netlink.generic import NETLINK_GENERIC
from tortie.netlink.monitor import LinkTable
from tortie.netlink.nftables import EVENTS
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage


class Sockets(msgspec.Struct, frozen=True):
    """Netlink sockets in the node's namespace: one a target for its worker thread, the others for events."""

    routes: NetlinkSocket
    connections: NetlinkSocket
    interfaces: NetlinkSocket
    filter_events: NetlinkSocket
    setting_events: NetlinkSocket
    generic: NetlinkSocket

    def close(self) -> None:
        """Close all."""
        for socket in msgspec.structs.astuple(self):
            socket.close()


class Dataplane:
    """Everything that an agent has open towards the kernel.

    Attributes:
        prefix: how names of workload interfaces begin.
        targets: in order of dependency: what polices stands before what lets packets arrive.
    """

    def __init__(self, settings: Settings, sockets: Sockets, executor: Executor, *, guarded: bool = False) -> None:
        links = self._link_table = LinkTable()
        addresses = AddressTable()
        prefixes = (settings.interface_prefix,)
        self._addresses = addresses
        self._sockets = sockets
        self._executor = executor
        self._guarded = guarded
        self.prefix = settings.interface_prefix
        identities = settings.run_directory / "rules.jsonl"
        self._filter = NftablesTarget(filter_settings(settings), identities, partial(held_addresses, links, addresses))
        underlay = Underlay(links, addresses, settings.node)
        vxlan = VxlanTarget(underlay, sockets.routes, _vxlan_settings(settings))
        ipip = IpipTarget(underlay, sockets.routes, settings.ipip_mtu)
        routes = RoutesTarget(links, sockets.routes, sockets.connections, underlay)
        names = device_names(settings)
        driver = Driver(sockets.routes, sockets.generic, Userspace(settings.wireguard_directory))
        files = KeyFiles(settings.run_directory)
        self._wireguard = WireguardTarget(underlay, sockets.routes, driver, names, files)
        encryption = EncryptionTarget(links, sockets.routes, settings.node, names)
        self.targets: list[Target[Any, Any]] = [
            self._filter,
            InterfacesTarget(links, sockets.interfaces, prefixes),
            vxlan,
            ipip,
            self._wireguard,
            # Before the routes that lead there in the clear.
            encryption,
            routes,
            BandwidthTarget(links, sockets.interfaces, prefixes),
        ]
        if settings.bird_directory is not None:
            secrets = settings.bgp_secrets_directory
            self.targets.append(
                BirdTarget(settings.bird_directory, settings.bird_program, settings.interface_prefix, secrets)
            )
        encrypted = Encrypted(self._wireguard, encryption)
        self._links = LinkWatch(links, addresses, routes, executor, settings.interface_prefix, vxlan, encrypted, ipip)

    def anew(self, settings: Settings) -> Dataplane:
        """The same for other prefixes of workloads; this one is not to be used any more. For the executor's thread."""
        self._filter.connection.close()
        return Dataplane(settings, self._sockets, self._executor, guarded=self._guarded)

    async def stand_guard(self) -> None:
        """Where no table of ours is, put one that drops everything from and to workloads, before anything else is done.

        Raises:
            KernelError: the kernel refused it.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._stand_guard)

    async def watch(self, reconciler: Reconciler, watching: asyncio.Event) -> None:
        """Tell the reconciler what the kernel reports, until cancelled."""
        loop = asyncio.get_running_loop()
        judges = {
            "nftables": (self._sockets.filter_events, self._filter.connection.is_drift),
            "interfaces": (self._sockets.setting_events, self._is_unwanted_setting),
        }
        for target, (events, is_drift) in judges.items():
            events.set_blocking(False)
            loop.add_reader(events.fileno(), _hear, events, is_drift, partial(reconciler.drifted, target))
        try:
            await self._links.run(reconciler, watching)
        finally:
            for events, _ in judges.values():
                loop.remove_reader(events.fileno())

    @property
    def filter(self) -> NftablesTarget:
        """The packet filter; its methods are for the executor's thread."""
        return self._filter

    @property
    def links(self) -> LinkTable:
        """The node's interfaces."""
        return self._link_table

    @property
    def keys(self) -> Mapping[int, bytes]:
        """Public keys of the WireGuard devices that work, by family."""
        return self._wireguard.keys

    def addresses(self) -> dict[str, frozenset[Cidr]]:
        """What each interface has."""
        return held_addresses(self._link_table, self._addresses)

    def is_of_host(self, name: str) -> bool:
        """Whether an interface has addresses of the host, as of the last event heard."""
        return name in interfaces_of_host(self.addresses(), self.prefix)

    def preferred(self, normal: Mapping[int, int]) -> set[Cidr]:
        """Addresses whose routes to workloads have a metric below the normal one of their family.

        For the executor's thread. Raises KernelError.
        """
        found = [one for family in (4, 6) for one in route.list_routes(self._sockets.routes, family, protocol=PROTOCOL)]
        attached = (one for one in found if one.gateway is None and one.type is route.RouteType.UNICAST)
        return {one.destination for one in attached if one.metric < normal[one.destination.family]}

    async def close(self) -> None:
        """Wait for what the worker thread is doing, end it, and close all sockets."""
        await asyncio.to_thread(self._executor.shutdown)
        self._filter.connection.close()
        self._sockets.close()

    def _stand_guard(self) -> None:
        actual = self._filter.read()
        if actual.chains and not self._guarded:
            return
        self._guarded = True
        plan = self._filter.plan(DesiredState(), actual, None)
        self._filter.apply(plan.operations)
        self._filter.applied(actual, plan)

    def _is_unwanted_setting(self, message: Message) -> bool:
        """Whether somebody switched off what routing needs, for the node or for a workload's interface."""
        event = netconf.interpret(message)
        if event is None or event.value != 0:
            return False
        if event.index == netconf.ALL:
            return event.setting == "forwarding"
        return self._links.is_workload(event.index)


def _vxlan_settings(settings: Settings) -> VxlanSettings:
    return VxlanSettings(settings.vxlan_vni, settings.vxlan_port, {4: settings.vxlan_mtu, 6: settings.vxlan_mtu_v6})


def _hear(events: NetlinkSocket, is_drift: Callable[[Message], bool], drifted: Callable[[], None]) -> None:
    """Take what waits on a socket; what is lost or cannot be read may have been drift."""
    try:
        if any(is_drift(message) for message in events.receive()):
            drifted()
    except TruncatedMessage:
        drifted()
    except KernelError as error:
        if error.errno != errno.EAGAIN:
            drifted()


async def open_dataplane(settings: Settings, executor: Executor) -> Dataplane:
    """Open everything in the namespace of the executor's thread. Raises KernelError."""
    sockets = await asyncio.get_running_loop().run_in_executor(executor, _open_sockets)
    return Dataplane(settings, sockets, executor)


def _open_sockets() -> Sockets:
    return Sockets(
        routes=NetlinkSocket(NETLINK_ROUTE),
        connections=NetlinkSocket(NETLINK_NETFILTER),
        interfaces=NetlinkSocket(NETLINK_ROUTE),
        filter_events=NetlinkSocket(NETLINK_NETFILTER, (EVENTS,)),
        setting_events=NetlinkSocket(NETLINK_ROUTE, netconf.GROUPS),
        generic=NetlinkSocket(NETLINK_GENERIC),
    )
