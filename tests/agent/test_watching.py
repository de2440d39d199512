"""What the kernel reports is told to whom it concerns, and only then."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tortie.agent.watching import LinkWatch, held_addresses, interfaces_of_host
from tortie.base.addresses import Cidr
from tortie.dataplane.routes import PROTOCOL, RoutesTarget
from tortie.dataplane.underlay import Underlay
from tortie.dataplane.vxlan import VxlanTarget
from tortie.netlink import addresses, links, route, vxlan
from tortie.netlink.address_table import AddressTable
from tortie.netlink.batch import execute
from tortie.netlink.monitor import LinkTable, Resync
from tortie.netlink.namespace import anonymous_namespace, enter, inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel


HOST_LINKS = ("interface other", "interface p", "interface lo", "interface vxlan")


class Told:
    """Stands for the reconciler."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._news = asyncio.Event()

    @property
    def others(self) -> list[str]:
        """All but what concerns the host's own interfaces."""
        return [one for one in self.told if one != "addresses" and not one.startswith(HOST_LINKS)]

    def interface_changed(self, name: str) -> None:
        self._note(f"interface {name}")

    def addresses_changed(self) -> None:
        self._note("addresses")

    def drifted(self, target: str) -> None:
        self._note(f"drifted {target}")

    def _note(self, what: str) -> None:
        self.told.append(what)
        self._news.set()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self.told):
                self._news.clear()
                await self._news.wait()


class Rig:
    """A watch in a namespace of its own, in which the test does things with a socket that is not ours."""

    def __init__(self, namespace: int, executor: ThreadPoolExecutor) -> None:
        with inside(namespace):
            self.others, self.ours = NetlinkSocket(NETLINK_ROUTE), NetlinkSocket(NETLINK_ROUTE)
        self.links = LinkTable()
        self.addresses = AddressTable()
        routes = RoutesTarget(self.links, self.ours, None)
        vxlan = VxlanTarget(Underlay(self.links, self.addresses, "here"), self.ours)
        self.watch = LinkWatch(self.links, self.addresses, routes, executor, "cali", vxlan)
        self.told = Told()

    def make_link(self, name: str) -> int:
        execute(self.others, links.create_veth(links.NewLink(name), links.NewLink(f"p{name}")))
        execute(self.others, links.change(name, up=True), links.change(f"p{name}", up=True))
        link = links.get_link(self.others, name)
        assert link is not None
        return link.index


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    namespace = anonymous_namespace()
    with ThreadPoolExecutor(1, initializer=enter, initargs=(namespace,)) as executor:
        one: Any = Rig(namespace, executor)
        watching = asyncio.Event()
        task = asyncio.create_task(one.watch.run(one.told, watching))
        await watching.wait()
        yield one
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        one.others.close()
        one.ours.close()
    os.close(namespace)


async def test_interfaces_that_come_and_go_are_told_of(rig: Rig) -> None:
    rig.make_link("other")
    index = rig.make_link("cali1")
    await rig.told.until(lambda told: "interface cali1" in told)
    assert rig.watch.is_workload(index)
    execute(rig.others, links.delete("cali1"))
    await rig.told.until(lambda told: len(told) > 1 and rig.links.get("cali1") is None)
    assert set(rig.told.others) == {"interface cali1"}
    assert "interface other" in rig.told.told
    assert not rig.watch.is_workload(index)


async def test_a_route_of_ours_that_somebody_else_changes_is_drift_and_what_we_change_is_not(rig: Rig) -> None:
    index = rig.make_link("other")
    ours = route.device_route(Cidr.host("10.65.0.1"), index, protocol=PROTOCOL)
    theirs = route.device_route(Cidr.host("10.65.0.2"), index, protocol=4)
    execute(rig.ours, route.replace(ours))
    execute(rig.others, route.replace(theirs))
    execute(rig.others, route.delete(ours))
    await rig.told.until(lambda _: bool(rig.told.others))
    assert rig.told.others == ["drifted routes"]


async def test_a_tunnel_that_somebody_makes_is_drift_and_another_device_is_not(rig: Rig) -> None:
    parent = rig.make_link("other")
    for name, port in (("vx9", 4790), ("vxlan.calico", 4789)):
        execute(rig.others, vxlan.create(links.NewLink(name), vxlan.Vxlan(9, parent, None, port)))
        assert "drifted vxlan" not in rig.told.told
    await rig.told.until(lambda told: "drifted vxlan" in told)


async def test_lost_events_are_made_up_for(rig: Rig) -> None:
    reconciler: Any = rig.told
    rig.watch._heard(Resync(), reconciler)
    await rig.told.until(lambda _: len(rig.told.others) == 4)
    assert rig.told.others == ["drifted routes", "drifted interfaces", "drifted bandwidth", "drifted vxlan"]
    rig.make_link("cali2")
    await rig.told.until(lambda told: "interface cali2" in told)


async def test_addresses_of_the_host_are_known_and_told_of_and_those_of_workloads_are_not_told(rig: Rig) -> None:
    one, two = rig.make_link("other"), rig.make_link("cali3")
    await rig.told.until(lambda told: "interface cali3" in told)
    ours, theirs = (addresses.Address(index, Cidr.host("192.0.2.1"), 24) for index in (one, two))
    rig.told.told.clear()
    execute(rig.others, addresses.add(ours))
    await rig.told.until(lambda told: "addresses" in told)
    assert Cidr.host("192.0.2.1") in held_addresses(rig.links, rig.addresses)["other"]
    rig.told.told.clear()
    execute(rig.others, addresses.delete(ours), addresses.add(theirs))
    await rig.told.until(lambda told: bool(told) and Cidr.host("192.0.2.1") in rig.addresses.of(two))
    assert rig.told.told.count("addresses") == 1
    execute(rig.others, links.delete("other"))
    await rig.told.until(lambda _: rig.links.get("other") is None)
    assert "other" not in held_addresses(rig.links, rig.addresses)


def test_interfaces_with_addresses_of_the_host_are_its_own_whatever_the_prefix_was_before() -> None:
    held = {
        "eth0": {Cidr.parse("192.0.2.1/32")},
        "lo": {Cidr.parse("127.0.0.1/32")},
        "tap1": {Cidr.parse("fe80::1/128"), Cidr.parse("169.254.1.1/32")},
        "tap2": frozenset[Cidr](),
        "cali1": {Cidr.parse("192.0.2.2/32")},
    }
    assert interfaces_of_host(held, "cali") == {"eth0", "lo"}
