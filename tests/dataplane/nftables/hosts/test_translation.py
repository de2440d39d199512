"""Translated addresses, as those see them who get the packets."""

from __future__ import annotations

import itertools
import select
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.settings import MetadataService, Outgoing, Settings
from tortie.desired.network import NODES, FloatingAddress, Network
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import Changes, DesiredState
from tortie.lab.probe.checksum import internet_checksum
from tortie.netlink.namespace import inside

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
HOST = ("192.0.2.1", "fd00:2::1")
NEAR = ("192.0.2.9", "fd00:2::9")
FAR = ("198.51.100.9", "fd00:51::9")
POD = ("10.65.0.1", "fd00:65::1")
OTHER = ("10.65.0.2", "fd00:65::2")
FLOATING = ("203.0.113.1", "fd00:f::1")
POOLS = (Cidr.parse("10.65.0.0/16"), Cidr.parse("fd00:65::/64"))
BOTH = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
NUMBERS = itertools.count(31000)


@pytest.fixture
def lab(lab: Any) -> Iterator[Any]:
    before = lab.target.settings
    lab.target.settings = Settings()
    yield lab
    lab.target.settings = before


def seen(lab: Any, sender: str, destination: str, receiver: str, kind: int = socket.SOCK_DGRAM) -> tuple[str, int]:
    """Who a receiver believes has sent it something; nobody when nothing arrives or is answered."""
    version = socket.AF_INET6 if ":" in destination else socket.AF_INET
    port = next(NUMBERS)
    with inside(lab.namespaces[receiver]):
        listener = socket.socket(version, kind)
        listener.bind(("", port))
    with inside(lab.namespaces[sender]):
        speaker = socket.socket(version, kind)
    with listener, speaker:
        for one in (listener, speaker):
            one.settimeout(0.4)
        try:
            return _exchange(listener, speaker, (destination, port), kind)
        except TimeoutError:
            return "", 0


def _exchange(listener: socket.socket, speaker: socket.socket, to: tuple[str, int], kind: int) -> tuple[str, int]:
    if kind == socket.SOCK_STREAM:
        listener.listen()
        speaker.connect(to)
        accepted, address = listener.accept()
        accepted.close()
    else:
        speaker.sendto(b"?", to)
        _, address = listener.recvfrom(10)
        listener.sendto(b"!", address)
        assert speaker.recvfrom(10)[1][:2] == to, "the answer comes from somebody else"
    return address[0], address[1]


def pooled(state: DesiredState, *nodes: str, **more: Any) -> DesiredState:
    found = sorted(map(Cidr.host, nodes))
    members = Members(*(b"".join(one.packed for one in found if one.family == family) for family in (4, 6)))
    state.network = Network(pools=POOLS, masqueraded=POOLS, **more)
    state.sets = {NODES: IPSet(NODES, members)}
    return state


@BOTH
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def test_what_leaves_the_pools_comes_from_the_host(lab: Any, guarded: Any, family: int, kind: int) -> None:
    assert seen(lab, "pod1", NEAR[family], "near", kind)[0] == POD[family]
    lab.forget_connections()
    lab.bring(pooled(guarded.state), Changes(sets={NODES}, network=True))
    assert seen(lab, "pod1", NEAR[family], "near", kind)[0] == HOST[family]
    assert seen(lab, "pod1", OTHER[family], "pod2", kind)[0] == POD[family]
    assert seen(lab, "near", POD[family], "pod1", kind)[0] == NEAR[family]
    lab.bring(guarded.state)
    assert not lab.plan(guarded.state).operations


@BOTH
def test_pools_without_translation_keep_their_addresses_and_are_inside_for_others(
    lab: Any, guarded: Any, family: int
) -> None:
    inside_too = (Cidr.parse("198.51.100.0/24"), Cidr.parse("fd00:51::/64"))
    state = pooled(guarded.state)
    state.network = msgspec.structs.replace(state.network, pools=(*POOLS, *inside_too))
    lab.bring(state)
    assert seen(lab, "pod1", FAR[family], "far")[0] == POD[family]
    assert seen(lab, "far", NEAR[family], "near")[0] == FAR[family]


@BOTH
def test_nodes_are_outside_unless_the_operator_says_otherwise(lab: Any, guarded: Any, family: int) -> None:
    state = pooled(guarded.state, *NEAR)
    lab.bring(state)
    assert seen(lab, "pod1", NEAR[family], "near")[0] == HOST[family]
    lab.target.settings = Settings(nat=Outgoing(spares_hosts=True))
    lab.forget_connections()
    lab.bring(state)
    assert seen(lab, "pod1", NEAR[family], "near")[0] == POD[family]
    assert seen(lab, "pod1", FAR[family], "far")[0] != POD[family]


@BOTH
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def test_ports_come_from_the_range_and_addresses_from_the_settings(
    lab: Any, guarded: Any, family: int, kind: int
) -> None:
    lab.target.settings = Settings(nat=Outgoing(ports=(40000, 40009)))
    lab.bring(pooled(guarded.state))
    address, port = seen(lab, "pod1", NEAR[family], "near", kind)
    assert address == HOST[family] and 40000 <= port <= 40009
    lab.target.settings = Settings(nat=Outgoing(tuple(map(Cidr.host, ("198.51.100.1", "fd00:51::1"))), (40000, 40009)))
    lab.run("near", "ip", "route", "replace", "default", "via", HOST[0])
    lab.bring(pooled(guarded.state))
    address, port = seen(lab, "pod1", NEAR[family], "near", kind)
    assert address == ("198.51.100.1", "fd00:51::1")[family] and 40000 <= port <= 40009


def test_protocols_without_ports_are_translated_too(lab: Any, guarded: Any) -> None:
    lab.target.settings = Settings(nat=Outgoing(ports=(40000, 40009)))
    lab.bring(pooled(guarded.state))
    lab.run("pod1", "ping", "-c1", "-W1", NEAR[0])
    assert f"src={NEAR[0]} dst={HOST[0]}" in lab.run("host", "conntrack", "-L", "-p", "icmp")


def test_only_the_named_interface_translates(lab: Any, guarded: Any) -> None:
    for name, expected in (("eth1", POD[0]), ("eth0", HOST[0]), ("eth+", HOST[0])):
        lab.target.settings = Settings(nat=Outgoing(interface=name))
        lab.forget_connections()
        lab.bring(pooled(guarded.state))
        assert seen(lab, "pod1", NEAR[0], "near")[0] == expected


@BOTH
def test_floating_addresses_lead_to_their_workloads_from_everywhere(lab: Any, guarded: Any, family: int) -> None:
    pairs = tuple(FloatingAddress(*map(Cidr.host, pair)) for pair in zip(FLOATING, POD, strict=True))
    lab.bring(pooled(guarded.state, floating=pairs))
    for sender, source in (("near", NEAR), ("far", FAR), ("pod2", OTHER)):
        assert seen(lab, sender, FLOATING[family], "pod1")[0] == source[family]
    assert seen(lab, "host", FLOATING[family], "pod1")[0]
    assert seen(lab, "pod1", FLOATING[family], "pod1")[0] == FLOATING[family], "who calls itself"
    assert seen(lab, "pod1", NEAR[family], "near")[0] == HOST[family], "outgoing addresses are as ever"


def test_a_floating_address_that_moves_is_one_element(lab: Any, guarded: Any) -> None:
    state = guarded.state
    pairs = [FloatingAddress(Cidr.host(FLOATING[0]), Cidr.host(one[0])) for one in (POD, OTHER)]
    lab.bring(pooled(state, floating=(pairs[0],)))
    before = lab.run("host", "nft", "-a", "list", "chain", "inet", "tortie", "nat-in")
    lab.bring(pooled(state, floating=(pairs[1],)), Changes(network=True))
    lab.forget_connections()
    assert seen(lab, "near", FLOATING[0], "pod2")[0] == NEAR[0]
    assert lab.run("host", "nft", "-a", "list", "chain", "inet", "tortie", "nat-in").split("counter")[0] in before
    lab.bring(pooled(state), Changes(network=True))
    assert "floating" not in lab.run("host", "nft", "list", "table", "inet", "tortie")
    assert not lab.plan(state).operations


def test_workloads_find_metadata_at_the_address_that_they_know(lab: Any, guarded: Any) -> None:
    service = MetadataService(Cidr.host("127.0.0.1"), 8775)
    lab.target.settings = Settings(metadata=service)
    lab.run("host", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/cali1/route_localnet")
    lab.bring(guarded.state)
    with inside(lab.namespaces["host"]):
        listener = socket.create_server(("127.0.0.1", 8775))
    with inside(lab.namespaces["pod1"]):
        speaker = socket.socket()
    with listener, speaker:
        speaker.settimeout(1)
        speaker.connect(("169.254.169.254", 80))
        assert speaker.getpeername() == ("169.254.169.254", 80)
        assert select.select([listener], [], [], 1)[0]


@pytest.mark.parametrize("is_openstack", [True, False])
def test_virtual_machines_may_ask_their_host_for_addresses_and_names(
    lab: Any, guarded: Any, is_openstack: bool
) -> None:
    lab.target.settings = Settings(openstack=is_openstack)
    lab.bring(guarded.state)
    assert lab.arrives("pod1", HOST[0], 53) == is_openstack
    assert not lab.arrives("pod1", HOST[0], 80)
    with inside(lab.namespaces["host"]):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("", 67))
    with server:
        with inside(lab.namespaces["pod1"]):
            client = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        with client:
            client.sendto(discover(), ("eth0", 0x0800, 0, 0, b"\xff" * 6))
        assert bool(select.select([server], [], [], 0.3)[0]) == is_openstack


def discover() -> bytes:
    """A datagram of somebody who has no address yet; UDP may do without a checksum."""
    header = bytes((0x45, 0, 0, 29)) + bytes(4) + bytes((64, 17))
    ends = bytes(4) + b"\xff" * 4
    checksum = internet_checksum(header + bytes(2) + ends).to_bytes(2, "big")
    ports = (68).to_bytes(2, "big") + (67).to_bytes(2, "big")
    return header + checksum + ends + ports + (9).to_bytes(2, "big") + bytes(2) + b"?"
