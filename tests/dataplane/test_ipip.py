"""The device of IP in IP: what is planned, and what the kernel does of it. A device of another kind stands for it
where the kernel has no such tunnels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.ipip import Become, Device, Equip, IpipTarget, Make, Operation
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import IPIP_DEVICE, Underlay
from tortie.desired.network import Network, Tunnels
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, links
from tortie.netlink.address_table import AddressTable
from tortie.netlink.batch import execute
from tortie.netlink.links import Link, NewLink
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

OWN, INSIDE = Cidr.host("192.0.2.1"), Cidr.host("10.65.1.0")
USED = Network(tunnels=Tunnels(ipip=True), own=(OWN,), ipip_end=INSIDE)


class Rig:
    """A target on a host whose eth0 has the node's address."""

    def __init__(self) -> None:
        self.socket = NetlinkSocket(NETLINK_ROUTE)
        self.links, self.addresses = LinkTable(), AddressTable()
        self.links.replace([Link(2, "eth0", up=True, mtu=1500)])
        self.addresses.replace([addresses.Address(2, OWN, 24)])
        self.target = IpipTarget(Underlay(self.links, self.addresses, "here"), self.socket)
        self.desired = DesiredState(network=USED)

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


def test_the_device_is_made_and_gets_an_mtu_that_leaves_room_and_the_address(rig: Rig) -> None:
    wanted = Device(1480, True, frozenset({INSIDE}))
    make, equip, become = rig.target.plan(rig.desired, None, None).operations
    assert (make, become) == (Make(), Become(wanted))
    assert isinstance(equip, Equip)
    assert rig.target.plan(rig.desired, wanted, Changes(network=True)).operations == []
    assert rig.target.plan(rig.desired, None, Changes(policies=set())) == Plan()


def test_what_is_missing_on_this_node_is_told(rig: Rig) -> None:
    rig.desired.network = Network(tunnels=Tunnels(ipip=True), own=(OWN,))
    assert rig.target.plan(rig.desired, None, None).waiting == {IPIP_DEVICE: "this node has no tunnel address yet"}
    rig.desired.network = Network(tunnels=Tunnels(ipip=True), ipip_end=INSIDE)
    assert rig.target.plan(rig.desired, None, None).waiting == {IPIP_DEVICE: "no interface has this node's address"}


@pytest.mark.kernel
def test_a_kernel_without_such_tunnels_refuses_in_words(rig: Rig) -> None:
    try:
        rig.target.apply([Make()])
    except KernelError as error:
        assert "create ipip tunl0" in str(error)
    else:
        assert links.get_link(rig.socket, IPIP_DEVICE) is not None


@pytest.mark.kernel
def test_the_device_has_exactly_the_address_and_loses_it_when_it_is_not_needed(rig: Rig) -> None:
    execute(rig.socket, links.create_veth(NewLink(IPIP_DEVICE), NewLink("peer0")))
    stranger = links.get_link(rig.socket, IPIP_DEVICE)
    assert stranger is not None
    execute(rig.socket, addresses.add(addresses.Address(stranger.index, Cidr.host("10.9.9.9"), 32)))
    assert len(rig.full_pass().operations) == 1
    assert rig.full_pass().operations == []
    assert rig.target.read() == Device(1480, True, frozenset({INSIDE}))
    rig.desired.network = Network()
    rig.full_pass()
    assert rig.target.read() == Device(1480, True)
    assert rig.full_pass().operations == []
