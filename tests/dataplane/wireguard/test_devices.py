"""Devices of WireGuard: what is planned, with a driver that only remembers, and real ones in a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import Unsupported
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import Underlay
from tortie.dataplane.wireguard.devices import Adjust, Configure, Delete, Make, MakeKey, Operation, WireguardTarget
from tortie.dataplane.wireguard.driver import Driver
from tortie.dataplane.wireguard.keys import KeyFiles, public_key
from tortie.dataplane.wireguard.userspace import Userspace
from tortie.desired.network import Network, Tunnels
from tortie.desired.settings import FilterSettings, NodeSettings, WireguardSettings
from tortie.desired.state import Changes, DesiredState
from tortie.desired.wireguard import WireguardPeer, WireguardPeerId
from tortie.netlink import addresses, links
from tortie.netlink.address_table import AddressTable
from tortie.netlink.batch import execute
from tortie.netlink.generic import NETLINK_GENERIC
from tortie.netlink.links import Link
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

NAMES = {4: "wireguard.cali", 6: "wg-v6.cali"}
OWN = (Cidr.host("192.0.2.1"), Cidr.host("fd00::1"))
ENDS = (Cidr.host("10.65.1.0"), Cidr.host("fd00:65::1"))
SETTINGS = {4: WireguardSettings(NAMES[4], 51820), 6: WireguardSettings(NAMES[6], 51821, keepalive=25, hosts=True)}
PEERS = (
    WireguardPeer(
        WireguardPeerId("near", 4),
        bytes(range(32)),
        Cidr.host("192.0.2.9"),
        (Cidr.parse("10.65.2.0/26"),),
        (Cidr.host("192.0.2.9"),),
    ),
    WireguardPeer(
        WireguardPeerId("near", 6),
        bytes(range(1, 33)),
        Cidr.host("fd00::9"),
        (Cidr.parse("fd00:65:2::/122"),),
        (Cidr.host("fd00::9"),),
    ),
)


def settings(**families: WireguardSettings) -> NodeSettings:
    return NodeSettings(filter=FilterSettings(wireguard={int(name[1]): one for name, one in families.items()}))


class Rig:
    """A target on a host whose eth0 has the node's addresses."""

    def __init__(self, directory: Path) -> None:
        self.socket, self.generic = NetlinkSocket(NETLINK_ROUTE), NetlinkSocket(NETLINK_GENERIC)
        self.links, self.addresses = LinkTable(), AddressTable()
        self.links.replace([Link(2, "eth0", up=True, mtu=1500)])
        self.addresses.replace([addresses.Address(2, one, 24) for one in OWN])
        self.files = KeyFiles(directory)
        driver = Driver(self.socket, self.generic, Userspace(directory / "sockets"))
        self.target = WireguardTarget(
            Underlay(self.links, self.addresses, "here"), self.socket, driver, NAMES, self.files
        )
        self.desired = DesiredState(
            settings=settings(v4=SETTINGS[4], v6=SETTINGS[6]),
            network=Network(tunnels=Tunnels(wireguard=(4, 6)), own=OWN, wireguard_ends=ENDS),
            wireguard_peers={one.id: one for one in PEERS},
        )

    def full_pass(self) -> Plan[Operation]:
        actual = self.target.read()
        plan = self.target.plan(self.desired, actual, None)
        self.target.apply(plan.operations)
        assert self.target.applied(actual, plan) == self.target.read()
        return plan

    def close(self) -> None:
        for name in NAMES.values():
            if links.get_link(self.socket, name):
                execute(self.socket, links.delete(name))
        self.socket.close()
        self.generic.close()


@pytest.fixture
def rig(namespace: int, tmp_path: Path) -> Iterator[Rig]:
    with inside(namespace):
        rig = Rig(tmp_path)
        yield rig
        rig.close()


@pytest.mark.kernel
def test_a_device_gets_a_key_its_settings_an_address_and_peers_and_a_second_pass_does_nothing(rig: Rig) -> None:
    plan = rig.full_pass()
    assert [type(one) for one in plan.operations] == [MakeKey, Make, Configure, Adjust] * 2
    assert rig.full_pass().operations == []
    actual = rig.target.read()
    four, six = actual.devices[4], actual.devices[6]
    assert (four.port, four.mark, four.mtu, four.addresses) == (51820, 0x40000, 1440, frozenset({ENDS[0]}))
    assert (six.port, six.mark, six.mtu, six.addresses) == (51821, 0x40000, 1420, frozenset({ENDS[1]}))
    assert [one.allowed for one in four.peers.values()] == [frozenset(PEERS[0].workloads)]
    assert [(one.allowed, one.keepalive) for one in six.peers.values()] == [
        (frozenset((*PEERS[1].workloads, *PEERS[1].hosts)), 25)
    ]
    private = rig.files.read(4)
    assert private is not None
    assert rig.target.keys == {4: public_key(private), 6: six.key}


@pytest.mark.kernel
def test_peers_come_and_go_and_others_stay(rig: Rig) -> None:
    rig.full_pass()
    del rig.desired.wireguard_peers[PEERS[0].id]
    other = msgspec.structs.replace(PEERS[1], endpoint=Cidr.host("fd00::8"))
    rig.desired.wireguard_peers[other.id] = other
    plan = rig.target.plan(rig.desired, rig.target.read(), Changes(wireguard_peers={PEERS[0].id, other.id}))
    assert [type(one) for one in plan.operations] == [Configure, Configure]
    rig.full_pass()
    assert rig.target.read().devices[4].peers == {}
    assert rig.full_pass().operations == []


@pytest.mark.kernel
def test_a_key_whose_file_is_gone_is_made_anew(rig: Rig) -> None:
    rig.full_pass()
    before = dict(rig.target.keys)
    rig.files.path(4).unlink()
    assert [type(one) for one in rig.full_pass().operations] == [MakeKey, Configure]
    assert rig.target.keys[4] != before[4]
    assert rig.target.keys[6] == before[6]


@pytest.mark.kernel
def test_a_device_that_is_not_wanted_goes_and_its_key_stays(rig: Rig) -> None:
    rig.full_pass()
    before = rig.target.keys[4]
    rig.desired.settings = settings(v6=SETTINGS[6])
    assert rig.full_pass().operations == [Delete(4)]
    rig.desired.settings = settings(v4=SETTINGS[4], v6=SETTINGS[6])
    assert [type(one) for one in rig.full_pass().operations] == [Make, Configure, Adjust]
    assert rig.target.keys[4] == before


@pytest.mark.kernel
def test_the_last_address_goes_only_when_another_comes(rig: Rig) -> None:
    rig.full_pass()
    rig.desired.network = msgspec.structs.replace(rig.desired.network, wireguard_ends=())
    assert rig.full_pass().operations == []
    moved = (Cidr.host("10.65.1.7"), ENDS[1])
    rig.desired.network = msgspec.structs.replace(rig.desired.network, wireguard_ends=moved)
    rig.full_pass()
    assert rig.target.read().devices[4].addresses == {moved[0]}


def test_nothing_is_done_before_settings_are_known_or_where_nothing_concerns_it(rig: Rig) -> None:
    actual = rig.target.read()
    assert rig.target.plan(rig.desired, actual, Changes(policies=set())) == Plan()
    rig.desired.settings = None
    assert rig.target.plan(rig.desired, actual, None).operations == []


def test_a_machine_that_cannot_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise Unsupported("this kernel has no WireGuard")

    driver = Driver(rig.socket, rig.generic, Userspace(Path("/nowhere")))
    monkeypatch.setattr(driver, "make", refuse)
    target = WireguardTarget(Underlay(rig.links, rig.addresses, "here"), rig.socket, driver, NAMES, rig.files)
    plan = target.plan(rig.desired, target.read(), None)
    with pytest.raises(Unsupported):
        target.apply(plan.operations)
    assert target.keys == {}
    assert [one.name for one in rig.files.path(4).parent.iterdir()] == ["wireguard-v4.key"]
