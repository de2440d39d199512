"""VXLAN devices: what is planned, and what the kernel has afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import VXLAN_DEVICES, Underlay
from tortie.dataplane.vxlan import Adjust, Delete, Fill, Make, Operation, VxlanSettings, VxlanTarget
from tortie.desired.cluster import Vtep, VtepId
from tortie.desired.network import Network, Tunnels
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, links, neighbours, vxlan
from tortie.netlink.address_table import AddressTable
from tortie.netlink.batch import execute
from tortie.netlink.links import NewLink
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel

OWN = {4: Cidr.host("192.0.2.1"), 6: Cidr.host("fd00:9::1")}
EVERYTHING = Changes(network=True)


def vtep(node: str, number: int, family: int = 4) -> Vtep:
    texts = {4: ("10.65.{}.0", "192.0.2.{}"), 6: ("fd00:65:{}::", "fd00:9::{}")}[family]
    inner, parent = (Cidr.host(text.format(number)) for text in texts)
    return Vtep(VtepId(node, family), inner, f"66:00:00:00:0{family}:{number:02x}", parent, local=node == "here")


class Rig:
    """A target in a namespace with eth0, which has the node's addresses."""

    def __init__(self, settings: VxlanSettings | None = None) -> None:
        self.socket = NetlinkSocket(NETLINK_ROUTE)
        self.links, self.addresses = LinkTable(), AddressTable()
        self.target = VxlanTarget(Underlay(self.links, self.addresses, "here"), self.socket, settings)
        self.desired = DesiredState(network=Network(tunnels=Tunnels(vxlan=(4, 6))))
        execute(self.socket, links.create_veth(NewLink("eth0"), NewLink("peer0")))
        for name in ("eth0", "peer0"):
            execute(self.socket, links.change(name, up=True))
        parent = links.get_link(self.socket, "eth0")
        assert parent is not None
        self.parent = parent.index
        for one in OWN.values():
            execute(self.socket, addresses.add(addresses.Address(self.parent, one, 24 if one.family == 4 else 64)))
        self.want(*(vtep(node, number, family) for node, number in (("here", 1), ("b", 2)) for family in (4, 6)))

    def want(self, *ends: Vtep) -> None:
        self.desired.vteps = {one.id: one for one in ends}

    def relist(self) -> None:
        self.links.replace(links.list_links(self.socket))
        self.addresses.replace(addresses.list_addresses(self.socket))

    def full_pass(self) -> Plan[Operation]:
        self.relist()
        actual = self.target.read()
        plan = self.target.plan(self.desired, actual, None)
        self.target.apply(plan.operations)
        assert self.target.applied(actual, plan) == self.target.read()
        self.relist()
        return plan

    def has_drifted(self, family: int = 4) -> bool:
        self.relist()
        name = VXLAN_DEVICES[family]
        link = self.links.get(name)
        return self.target.has_drifted(link, name, self.addresses.of(link.index) if link else frozenset())


@pytest.fixture
def rig(namespace: int) -> Iterator[Rig]:
    with inside(namespace):
        rig = Rig()
    yield rig
    rig.socket.close()


@pytest.fixture
def show(namespace: int) -> Callable[..., Any]:
    def show(*command: str) -> Any:
        enter = ["nsenter", f"--net=/proc/self/fd/{namespace}"]
        done = subprocess.run([*enter, *command], check=True, pass_fds=[namespace], capture_output=True, text=True)
        return json.loads(done.stdout or "[]")

    return show


def test_both_families_get_a_device_with_everything_in_it_and_then_there_is_nothing_to_do(
    rig: Rig, show: Callable[..., Any]
) -> None:
    assert rig.full_pass().waiting == {}
    assert rig.full_pass().operations == []
    for family, (name, overhead) in {4: ("vxlan.calico", 50), 6: ("vxlan-v6.calico", 70)}.items():
        (device,) = show("ip", "-d", "-j", "addr", "show", "dev", name)
        data = device["linkinfo"]["info_data"]
        assert (data["id"], data["port"], data["learning"], data["link"]) == (4096, 4789, False, "eth0")
        assert (device["address"], device["mtu"]) == (vtep("here", 1, family).mac, 1500 - overhead)
        assert "UP" in device["flags"]
        held = [f"{one['local']}/{one['prefixlen']}" for one in device["addr_info"] if one["scope"] == "global"]
        assert held == [str(vtep("here", 1, family).address)]
        peer = vtep("b", 2, family)
        (entry,) = show("bridge", "-j", "fdb", "show", "dev", name)
        assert (entry["mac"], entry["dst"]) == (peer.mac, peer.parent.text)
        (neighbour,) = show("ip", f"-{family}", "-j", "neigh", "show", "dev", name, "nud", "permanent")
        assert (neighbour["dst"], neighbour["lladdr"]) == (peer.address.text, peer.mac)


def test_a_node_that_comes_moves_or_goes_is_a_matter_of_entries(rig: Rig) -> None:
    rig.full_pass()
    own = vtep("here", 1)
    for others in ([vtep("b", 2), vtep("c", 3)], [msgspec.structs.replace(vtep("b", 4), mac=vtep("b", 2).mac)], []):
        rig.want(own, vtep("here", 1, 6), *others)
        assert [type(one) for one in rig.full_pass().operations if one.name == "vxlan.calico"] == [Fill]
        assert rig.full_pass().operations == []
    index = links.get_link(rig.socket, "vxlan.calico").index  # type: ignore[union-attr]  # it is there
    assert vxlan.list_forwarding(rig.socket, index) == []


def test_what_others_put_into_a_device_is_taken_out_and_what_they_took_put_back(rig: Rig) -> None:
    rig.full_pass()
    index = links.get_link(rig.socket, "vxlan.calico").index  # type: ignore[union-attr]  # it is there
    stranger = Cidr.host("192.0.2.66")
    own = vtep("here", 1).address
    execute(
        rig.socket,
        vxlan.forward(vxlan.Forwarding(index, "02:00:00:00:00:01", stranger)),
        neighbours.replace(neighbours.Neighbour(index, stranger, "02:00:00:00:00:01")),
        addresses.add(addresses.Address(index, Cidr.host("10.65.9.9"), 32)),
        addresses.delete(addresses.Address(index, own, 32)),
        links.change(index, mtu=1300),
    )
    assert rig.has_drifted()
    rig.full_pass()
    assert not rig.has_drifted()
    assert rig.full_pass().operations == []


def test_a_device_that_others_delete_or_make_otherwise_is_made_anew(rig: Rig) -> None:
    rig.full_pass()
    execute(rig.socket, links.delete("vxlan.calico"))
    assert rig.has_drifted()
    other = vxlan.Vxlan(7, rig.parent, OWN[4], 4789)
    execute(rig.socket, vxlan.create(NewLink("vxlan.calico"), other))
    done = [type(one) for one in rig.full_pass().operations]
    assert done == [Delete, Make, Adjust, Fill]
    assert rig.full_pass().operations == []


def test_a_smaller_mtu_underneath_makes_the_tunnel_smaller(rig: Rig) -> None:
    rig.full_pass()
    execute(rig.socket, links.change("eth0", mtu=1400))
    assert [type(one) for one in rig.full_pass().operations] == [Adjust, Adjust]
    assert links.get_link(rig.socket, "vxlan.calico").mtu == 1350  # type: ignore[union-attr]  # it is there


def test_another_hardware_address_costs_no_neighbour(rig: Rig) -> None:
    rig.full_pass()
    execute(rig.socket, links.change("vxlan.calico", mac="02:00:00:00:00:09"))
    assert rig.has_drifted()
    assert [type(one) for one in rig.full_pass().operations] == [Adjust, Fill]
    assert rig.full_pass().operations == []


def test_devices_go_when_no_pool_wants_them_and_others_stay(rig: Rig) -> None:
    rig.full_pass()
    execute(rig.socket, vxlan.create(NewLink("vx9"), vxlan.Vxlan(9, rig.parent, OWN[4], 4790)))
    rig.desired.network = Network(tunnels=Tunnels(vxlan=(6,)))
    assert rig.full_pass().operations == [Delete("vxlan.calico")]
    rig.desired.network = Network()
    assert rig.full_pass().operations == [Delete("vxlan-v6.calico")]
    assert [link.name for link, _ in vxlan.list_vxlans(rig.socket)] == ["vx9"]


def test_while_the_own_end_is_unknown_the_device_stays_and_the_reason_is_told(rig: Rig) -> None:
    rig.full_pass()
    rig.want(vtep("b", 2))
    plan = rig.full_pass()
    assert plan.operations == []
    assert plan.waiting["vxlan.calico"] == "this node has no IPv4 address, or no tunnel address for it yet"
    rig.want(msgspec.structs.replace(vtep("here", 1), parent=Cidr.host("192.0.2.99")))
    assert rig.full_pass().waiting["vxlan.calico"] == "no interface has this node's address 192.0.2.99"


def test_changes_that_do_not_concern_tunnels_are_not_looked_at(rig: Rig) -> None:
    rig.relist()
    assert rig.target.plan(rig.desired, {}, Changes(interfaces={"cali1"}, policies=set())) == Plan()
    plan = rig.target.plan(rig.desired, {}, Changes(vteps={VtepId("b", 4)}))
    assert [one.name for one in plan.operations if isinstance(one, Make)] == list(VXLAN_DEVICES.values())


def test_settings_decide_network_port_and_mtu(namespace: int) -> None:
    with inside(namespace):
        rig = Rig(VxlanSettings(vni=77, port=8472, mtu={4: 1280}))
    rig.full_pass()
    found = {link.name: (link.mtu, what.vni, what.port) for link, what in vxlan.list_vxlans(rig.socket)}
    assert found == {"vxlan.calico": (1280, 77, 8472), "vxlan-v6.calico": (1430, 77, 8472)}
    rig.socket.close()
