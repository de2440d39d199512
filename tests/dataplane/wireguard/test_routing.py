"""What goes through WireGuard: routes and rules that are planned, and what the kernel makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.sysctls import Sysctls
from tortie.dataplane.target import Plan
from tortie.dataplane.wireguard.routing import Change, EncryptionTarget
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds
from tortie.desired.network import Network
from tortie.desired.routes import Route
from tortie.desired.settings import FilterSettings, NodeSettings, WireguardSettings
from tortie.desired.state import Changes, DesiredState
from tortie.desired.wireguard import WireguardPeer, WireguardPeerId
from tortie.netlink import addresses, links
from tortie.netlink.batch import execute
from tortie.netlink.links import NewLink
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel

NAMES = {4: "wireguard.cali", 6: "wg-v6.cali"}
OWN = (Cidr.host("192.0.2.1"), Cidr.host("fd00:2::1"))


def prefix(text: str, node: str, kinds: Kinds = Kinds.REMOTE_WORKLOAD, **more: bool) -> ClusterRoute:
    return ClusterRoute(Cidr.parse(text), kinds, Encapsulation.DIRECT, node, **more)


PREFIXES = (
    prefix("10.65.0.0/16", "", Kinds.POOL),
    prefix("fd00:65::/64", "", Kinds.POOL),
    prefix("10.65.1.0/26", "here", Kinds.LOCAL_WORKLOAD),
    prefix("10.65.1.1/32", "here", Kinds.LOCAL_WORKLOAD, attached=True),
    prefix("10.65.2.0/26", "near"),
    prefix("fd00:65::200/122", "near"),
    prefix("10.65.2.7/32", "far", borrowed=True),
    prefix("10.65.2.8/32", "here", Kinds.REMOTE_WORKLOAD | Kinds.LOCAL_WORKLOAD, borrowed=True, attached=True),
    prefix("10.65.3.0/26", "far"),
    prefix("192.0.2.2/32", "near", Kinds.REMOTE_HOST),
    prefix("192.0.2.3/32", "far", Kinds.REMOTE_HOST),
)
THROUGH, CLEAR, REFUSED = "wireguard.cali", "eth0", "prohibited"


class Rig:
    """A target on a host with eth0, two devices that stand for WireGuard's, and a route of everything to eth0."""

    def __init__(self, root: Path) -> None:
        self.socket = NetlinkSocket(NETLINK_ROUTE)
        for name, peer in (("eth0", "p0"), ("wireguard.cali", "p1"), ("wg-v6.cali", "p2")):
            execute(self.socket, links.create_veth(NewLink(name), NewLink(peer)))
            execute(self.socket, links.change(name, up=True), links.change(peer, up=True))
        eth0 = links.get_link(self.socket, "eth0")
        assert eth0 is not None
        execute(self.socket, *(addresses.add(addresses.Address(eth0.index, one, 24)) for one in OWN))
        for family in ("-4", "-6"):
            subprocess.run(["ip", family, "route", "add", "default", "dev", "eth0"], check=True)
        self.links = LinkTable()
        self.links.replace(links.list_links(self.socket))
        (root / "ipv4/conf/all").mkdir(parents=True)
        self.mark = root / "ipv4/conf/all/src_valid_mark"
        self.mark.write_text("0")
        self.target = EncryptionTarget(self.links, self.socket, "here", NAMES, Sysctls(root))
        self.desired = DesiredState(
            cluster_routes={one.destination: one for one in PREFIXES},
            routes={Cidr.parse("10.65.1.1/32"): Route(Cidr.parse("10.65.1.1/32"), "cali1")},
            network=Network(pools=(Cidr.parse("10.65.0.0/16"), Cidr.parse("fd00:65::/64")), own=OWN),
            wireguard_peers={
                WireguardPeerId("near", family): WireguardPeer(WireguardPeerId("near", family), bytes(32), OWN[0])
                for family in (4, 6)
            },
        )
        self.settle()

    def settle(self, **options: bool) -> None:
        families = {family: WireguardSettings(name, 51820, **options) for family, name in NAMES.items()}
        self.desired.settings = NodeSettings(filter=FilterSettings(wireguard=families))

    def full_pass(self) -> Plan[Change]:
        actual = self.target.read()
        plan = self.target.plan(self.desired, actual, None)
        self.target.apply(plan.operations)
        assert self.target.applied(actual, plan) == self.target.read()
        assert not self.target.plan(self.desired, self.target.read(), None).operations
        return plan

    def way(self, address: str, mark: int = 0) -> str:
        """By which device packets leave, or that they do not."""
        command = ["ip", "-j", "route", "get", address, *(("mark", hex(mark)) if mark else ())]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        return str(json.loads(shown.stdout)[0]["dev"]) if shown.returncode == 0 else REFUSED


@pytest.fixture
def rig(namespace: int, tmp_path: Path) -> Iterator[Rig]:
    with inside(namespace):
        rig = Rig(tmp_path)
        yield rig
        rig.socket.close()


def test_what_is_at_nodes_with_keys_goes_through_and_all_else_as_before(rig: Rig) -> None:
    rig.full_pass()
    assert rig.way("10.65.2.1") == THROUGH
    assert rig.way("fd00:65::201") == "wg-v6.cali"
    for elsewhere in ("10.65.2.7", "10.65.2.8", "10.65.3.1", "10.65.1.1", "10.65.9.9", "192.0.2.2", "198.51.100.1"):
        assert rig.way(elsewhere) == CLEAR


def test_what_is_encrypted_already_does_not_ask_again(rig: Rig) -> None:
    rig.settle(hosts=True)
    rig.full_pass()
    assert rig.way("192.0.2.2") == THROUGH
    assert rig.way("192.0.2.2", 0x40000) == CLEAR
    assert rig.way("192.0.2.3") == CLEAR
    assert rig.mark.read_text() == "1"


def test_hosts_speak_through_it_by_their_own_addresses(rig: Rig) -> None:
    rig.settle(hosts=True)
    rig.full_pass()
    shown = subprocess.run(["ip", "-j", "route", "get", "192.0.2.2"], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)[0]["prefsrc"] == "192.0.2.1"


def test_what_is_required_and_cannot_be_is_refused(rig: Rig) -> None:
    rig.settle(required=True, hosts=True)
    rig.full_pass()
    assert rig.way("10.65.2.1") == THROUGH
    for elsewhere in ("10.65.2.7", "10.65.3.1", "10.65.9.9", "fd00:65::999"):
        assert rig.way(elsewhere) == REFUSED
    for here in ("10.65.1.1", "10.65.1.9", "10.65.2.8", "192.0.2.3", "198.51.100.1"):
        assert rig.way(here) == CLEAR


def test_what_is_required_stays_refused_when_a_device_is_lost_without_anybody_there(rig: Rig) -> None:
    rig.settle(required=True)
    rig.full_pass()
    execute(rig.socket, links.delete("wireguard.cali"))
    assert rig.way("10.65.2.1") == REFUSED


def test_without_a_device_what_is_not_required_goes_in_the_clear(rig: Rig) -> None:
    execute(rig.socket, links.delete("wireguard.cali"))
    rig.links.replace(links.list_links(rig.socket))
    rig.full_pass()
    assert rig.way("10.65.2.1") == CLEAR
    assert rig.way("fd00:65::201") == "wg-v6.cali"


def test_a_key_that_comes_or_goes_changes_only_what_it_is_for(rig: Rig) -> None:
    rig.full_pass()
    gone = rig.desired.wireguard_peers.pop(WireguardPeerId("near", 4))
    plan = rig.target.plan(rig.desired, rig.target.read(), Changes(wireguard_peers={gone.id}))
    (change,) = plan.operations
    assert [str(one.destination) for one in change.installed] == ["10.65.2.0/26"]
    assert not change.removed
    rig.full_pass()
    assert rig.way("10.65.2.1") == CLEAR


def test_a_new_prefix_is_looked_at_alone(rig: Rig) -> None:
    actual, new = rig.target.read(), prefix("10.65.4.0/26", "near")
    rig.target.applied(actual, rig.full_pass())
    rig.desired.cluster_routes[new.destination] = new
    (change,) = rig.target.plan(rig.desired, rig.target.read(), Changes(cluster_routes={new.destination})).operations
    assert [one.destination for one in change.installed] == [new.destination]


def test_when_it_is_switched_off_nothing_of_it_is_left_and_others_rules_stay(rig: Rig) -> None:
    subprocess.run(["ip", "rule", "add", "priority", "50", "lookup", "80"], check=True)
    subprocess.run(["ip", "route", "add", "10.77.0.0/16", "dev", "eth0", "table", "80"], check=True)
    rig.full_pass()
    rig.desired.settings = NodeSettings()
    rig.full_pass()
    found = rig.target.read()
    assert (found.routes, found.rules) == ({}, frozenset())
    assert "50:" in subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout
    shown = subprocess.run(["ip", "route", "show", "table", "80"], capture_output=True, text=True, check=True).stdout
    assert "10.77.0.0/16" in shown


def test_another_priority_or_mark_makes_another_rule(rig: Rig) -> None:
    rig.full_pass()
    settings = rig.desired.settings
    assert settings is not None
    families = {family: msgspec.structs.replace(one, priority=98) for family, one in settings.filter.wireguard.items()}
    rig.desired.settings = NodeSettings(filter=FilterSettings(wireguard=families, mark_mask=0xFF00))
    rig.full_pass()
    assert {(one.priority, one.mark) for one in rig.target.read().rules} == {(98, 0x400)}


def test_nothing_is_asked_of_whom_it_does_not_concern(rig: Rig) -> None:
    rig.desired.settings = NodeSettings()
    assert rig.target.plan(rig.desired, rig.target.read(), None) == Plan()
