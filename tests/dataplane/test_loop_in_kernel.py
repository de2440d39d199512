"""The loop with its real targets and the kernel's own notifications, in a network namespace."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.dataplane.interfaces import InterfacesTarget
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.routes import RoutesTarget
from tortie.dataplane.sysctls import Sysctls, of_workload
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import PolicyList
from tortie.desired.routes import Route
from tortie.netlink import links, route
from tortie.netlink.batch import execute
from tortie.netlink.monitor import Event, LinkEvent, Monitor, RouteEvent
from tortie.netlink.namespace import NamespaceThread
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel
A, A6 = Cidr.host("10.65.0.1"), Cidr.host("fd65::1")
WANTED = Delta(
    endpoints=(Endpoint(EndpointId("shop", "web"), "cali1", (A, A6), PolicyList(), PolicyList()),),
    routes=(Route(A, "cali1"), Route(A6, "cali1")),
)


class Node:
    """A reconciler at work in a namespace, and a socket with which the test plays the rest of the world."""

    def __init__(self, namespace: int) -> None:
        self.namespace = namespace
        self.thread: ThreadPoolExecutor = NamespaceThread(Path(f"/proc/self/fd/{namespace}"))
        self.world, own, connections = self.call(self._sockets)
        self.monitor: Monitor = self.call(lambda: Monitor(self._heard))
        self.routes = RoutesTarget(self.monitor.links, own, connections)
        interfaces = InterfacesTarget(self.monitor.links, own)
        self.reconciler = Reconciler([interfaces, self.routes], self.thread, SystemClock())
        self.reconciler.start()

    def call(self, function: Callable[[], object]) -> object:
        return self.thread.submit(function).result()

    def ip(self, *arguments: str) -> None:
        enter = ["nsenter", f"--net=/proc/self/fd/{self.namespace}", "ip"]
        subprocess.run([*enter, *arguments], check=True, pass_fds=[self.namespace])

    def start(self) -> None:
        self.monitor.start(links.list_links(self.world))

    def add_link(self) -> None:
        execute(self.world, links.create_veth(links.NewLink("cali1"), links.NewLink("peer1")))
        execute(self.world, links.change("peer1", up=True), links.change("cali1", up=True))

    def in_kernel(self) -> set[Cidr]:
        return {one.destination for family in (4, 6) for one in route.list_routes(self.world, family, protocol=80)}

    async def until(self, condition: Callable[[], bool]) -> None:
        """The kernel cannot be awaited: ask again and again; the test's time limit is the end."""
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)

    def drifts(self) -> int:
        return self.reconciler.status()[1].counters.drifts

    def _sockets(self) -> tuple[NetlinkSocket, NetlinkSocket, NetlinkSocket]:
        return NetlinkSocket(NETLINK_ROUTE), NetlinkSocket(NETLINK_ROUTE), NetlinkSocket(NETLINK_NETFILTER)

    def _heard(self, event: Event) -> None:
        if isinstance(event, LinkEvent):
            self.reconciler.interface_changed(event.name)
        elif isinstance(event, RouteEvent) and self.routes.is_foreign(event):
            self.reconciler.drifted("routes")


@pytest.fixture
async def node(namespace: int) -> AsyncIterator[Node]:
    node = Node(namespace)
    node.start()
    task = asyncio.create_task(node.reconciler.run())
    yield node
    task.cancel()
    await asyncio.wait([task])
    node.monitor.close()
    node.thread.shutdown()


async def test_an_endpoint_is_programmed_whichever_comes_first(node: Node) -> None:
    await node.reconciler.wait_applied(node.reconciler.update(WANTED))
    assert all(status.waiting for status in node.reconciler.status())
    node.add_link()
    await node.until(lambda: not any(status.waiting for status in node.reconciler.status()))
    assert node.in_kernel() == {A, A6}
    wanted = of_workload("cali1", spoofing=False)
    assert node.call(lambda: Sysctls().read(wanted)) == wanted
    assert node.drifts() == 0


async def test_a_route_that_someone_deletes_comes_back(node: Node) -> None:
    node.add_link()
    await node.until(lambda: (link := node.monitor.links.get("cali1")) is not None and link.running)
    await node.reconciler.wait_applied(node.reconciler.update(WANTED))
    assert node.in_kernel() == {A, A6}
    node.ip("route", "delete", str(A), "proto", "80")
    await node.until(lambda: node.in_kernel() == {A, A6} and node.drifts() == 1)


async def test_a_route_that_someone_adds_in_our_name_goes(node: Node) -> None:
    node.add_link()
    await node.until(lambda: (link := node.monitor.links.get("cali1")) is not None and link.running)
    await node.reconciler.wait_applied(node.reconciler.update(WANTED))
    node.ip("-6", "route", "add", "fd65::99", "dev", "cali1", "proto", "80")
    await node.until(lambda: node.drifts() == 1 and node.in_kernel() == {A, A6})


async def test_routes_follow_a_link_that_goes_down_and_up_away_and_comes_again(node: Node) -> None:
    await node.reconciler.wait_applied(node.reconciler.update(WANTED))
    node.add_link()
    await node.until(lambda: node.in_kernel() == {A, A6})
    for end in ("cali1", "peer1"):
        execute(node.world, links.change(end, up=False))
        if end == "peer1":
            await node.until(lambda: node.in_kernel() == set())
        execute(node.world, links.change(end, up=True))
        await node.until(lambda: node.in_kernel() == {A, A6})
    execute(node.world, links.delete("cali1"))
    await node.until(lambda: all(status.waiting for status in node.reconciler.status()))
    node.add_link()
    await node.until(lambda: node.in_kernel() == {A, A6})
    assert node.drifts() == 0
    assert [status.failing for status in node.reconciler.status()] == ["", ""]


async def test_what_others_do_to_a_hundred_links_at_once_leaves_the_rest_right(node: Node) -> None:
    names = [f"cali{number}" for number in range(100)]
    routes = tuple(Route(Cidr(4, 0x0A410000 + number, 32), name) for number, name in enumerate(names))
    node.reconciler.update(Delta(routes=routes))
    for name in names:
        pair = links.create_veth(links.NewLink(name), links.NewLink(f"p{name}"))
        execute(node.world, pair, links.change(name, up=True), links.change(f"p{name}", up=True))
        await asyncio.sleep(0)
    node.call(lambda: execute(node.world, *[links.delete(name) for name in names[::2]]))
    remaining = {one.destination for one in routes[1::2]}
    await node.until(lambda: len(node.reconciler.status()[1].waiting) == 50 and node.in_kernel() == remaining)
    assert node.reconciler.status()[1].failing == ""
