"""The device that programs make a tunnel of: what is told to the kernel, and that a second look finds it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, Unsupported
from tortie.dataplane.ipip import Become, Delete, Device, Equip, IpipTarget, Make, Operation
from tortie.dataplane.ipip_driver import IpipDriver
from tortie.dataplane.ipip_programs import mac_of
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import IPIP_DEVICE, Underlay
from tortie.desired.network import NODES, Network, Tunnels
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, classifiers, links
from tortie.netlink.address_table import AddressTable
from tortie.netlink.batch import execute
from tortie.netlink.links import Link, NewLink
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel

OWN, INSIDE = Cidr.host("192.0.2.1"), Cidr.host("10.65.1.0")
NEAR, FAR = Cidr.host("192.0.2.2"), Cidr.host("198.51.100.3")


class Without(IpipDriver):
    """A kernel that has no device of some kinds."""

    def __init__(self, socket: NetlinkSocket, *missing: str) -> None:
        super().__init__(socket)
        self.missing = missing

    def _make(self, link: NewLink, kind: str) -> KernelError | None:
        if kind in self.missing:
            return KernelError(f"create {kind} {link.name}", errno.EOPNOTSUPP, "Unknown device type")
        return super()._make(link, kind)


class Rig:
    """A target on a host whose eth0 has the node's address."""

    def __init__(self) -> None:
        self.socket = NetlinkSocket(NETLINK_ROUTE)
        for name in ("eth0", "eth1"):
            execute(self.socket, links.create_veth(NewLink(name), NewLink(f"p{name}")))
        self.links, self.addresses = LinkTable(), AddressTable()
        self.links.replace(links.list_links(self.socket))
        self.at("eth0")
        self.target = self.with_driver(Without(self.socket, "ipip"))
        self.desired = DesiredState(network=Network(tunnels=Tunnels(ipip=True), own=(OWN,), ipip_end=INSIDE))
        self.nodes(NEAR, FAR)

    def with_driver(self, driver: IpipDriver) -> IpipTarget:
        return IpipTarget(Underlay(self.links, self.addresses, "here"), self.socket, driver=driver)

    def at(self, name: str) -> None:
        """Which interface has the node's address."""
        self.addresses.replace([addresses.Address(self.link(name).index, OWN, 24)])

    def link(self, name: str) -> Link:
        found = links.get_link(self.socket, name)
        assert found is not None
        return found

    def nodes(self, *nodes: Cidr) -> None:
        self.desired.sets[NODES] = IPSet(NODES, Members(hosts4=b"".join(sorted(one.packed for one in nodes))))

    def full_pass(self) -> Plan[Operation]:
        actual = self.target.read()
        plan = self.target.plan(self.desired, actual, None)
        self.target.apply(plan.operations)
        assert self.target.applied(actual, plan) == self.target.read()
        return plan


@pytest.fixture
def rig(namespace: int) -> Iterator[Rig]:
    with inside(namespace):
        rig = Rig()
        yield rig
        rig.socket.close()


def test_a_device_of_ours_gets_programs_and_neighbours_and_a_second_pass_does_nothing(rig: Rig) -> None:
    assert [type(one) for one in rig.full_pass().operations] == [Make, Equip, Become]
    assert rig.full_pass().operations == []
    found = rig.target.read()
    assert found is not None and found.equipment is not None
    assert msgspec.structs.replace(found, equipment=None) == Device(1480, True, frozenset({INSIDE}))
    assert found.equipment.nodes == {NEAR, FAR}
    assert found.equipment.leaving == found.equipment.arriving[rig.link("eth0").index] != ""
    # Another agent finds it as well.
    rig.target = rig.with_driver(Without(rig.socket, "ipip"))
    assert rig.full_pass().operations == []


def test_what_others_send_is_taken_before_this_node_has_an_address(rig: Rig) -> None:
    rig.desired.network = msgspec.structs.replace(rig.desired.network, ipip_end=None)
    plan = rig.full_pass()
    assert [type(one) for one in plan.operations] == [Make, Equip, Become]
    assert plan.waiting == {IPIP_DEVICE: "this node has no tunnel address yet"}
    rig.desired.network = msgspec.structs.replace(rig.desired.network, ipip_end=INSIDE)
    assert [type(one) for one in rig.full_pass().operations] == [Become]


def test_nodes_that_come_and_go_change_the_programs_and_neighbours_alone(rig: Rig) -> None:
    rig.full_pass()
    index = rig.link(IPIP_DEVICE).index
    rig.nodes(NEAR)
    plan = rig.target.plan(rig.desired, rig.target.read(), Changes(sets={NODES}))
    assert [type(one) for one in plan.operations] == [Equip]
    rig.full_pass()
    assert rig.full_pass().operations == []
    assert rig.link(IPIP_DEVICE).index == index


def test_when_the_nodes_address_moves_the_program_moves_too(rig: Rig) -> None:
    rig.full_pass()
    rig.at("eth1")
    rig.full_pass()
    found = rig.target.read()
    assert found is not None and found.equipment is not None
    assert list(found.equipment.arriving) == [rig.link("eth1").index]


def test_what_somebody_removes_is_put_back(rig: Rig) -> None:
    rig.full_pass()
    execute(rig.socket, classifiers.detach(rig.link("eth0").index, classifiers.ARRIVING))
    assert [type(one) for one in rig.full_pass().operations] == [Equip]
    execute(rig.socket, links.delete(IPIP_DEVICE))
    assert [type(one) for one in rig.full_pass().operations] == [Make, Equip, Become]
    assert rig.full_pass().operations == []


def test_one_that_is_not_needed_goes_with_its_programs(rig: Rig) -> None:
    rig.full_pass()
    rig.desired.network = Network()
    assert [type(one) for one in rig.full_pass().operations] == [Delete]
    assert rig.target.read() is None
    assert classifiers.attached(rig.socket, rig.link("eth0").index, classifiers.ARRIVING) == ""
    assert rig.full_pass().operations == []


def test_a_kernel_without_any_way_is_told_in_words(rig: Rig) -> None:
    target = rig.with_driver(Without(rig.socket, "ipip", "ifb"))
    with pytest.raises(Unsupported, match=r"cannot do IP in IP \(create ifb tunl0: .*or let pools use vxlanMode"):
        target.apply(target.plan(rig.desired, target.read(), None).operations)


def test_a_device_that_comes_or_goes_without_us_is_drift(rig: Rig) -> None:
    assert not rig.target.has_drifted(None, IPIP_DEVICE)
    rig.full_pass()
    assert rig.target.has_drifted(None, IPIP_DEVICE)
    assert not rig.target.has_drifted(rig.link(IPIP_DEVICE), IPIP_DEVICE)
    assert not rig.target.has_drifted(None, "eth0")


def test_hardware_addresses_stand_for_nodes() -> None:
    assert mac_of(NEAR) == "66:04:c0:00:02:02"
    assert mac_of(FAR) == "66:04:c6:33:64:03"
