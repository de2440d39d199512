"""Encapsulated packets: from nodes they come in past host endpoints, from others and from workloads never."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rule_words import Fate, words
from tortie.dataplane.nftables.rules import ENCAPSULATED, END
from tortie.dataplane.nftables.settings import Settings
from tortie.desired.network import IPIP, NODES, VXLAN_PEERS, Network, Tunnels
from tortie.desired.policy import Action, Direction
from tortie.desired.sets import IPSet, Members
from tortie.desired.settings import WireguardSettings
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import inside

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
HOST = ("192.0.2.1", "fd00:2::1")
NEAR = ("192.0.2.9", "fd00:2::9")
FAR = ("198.51.100.9", "fd00:51::9")
POD = ("10.65.0.1", "fd00:65::1")
PORT = 81
"""Stands for that of VXLAN: somebody listens there everywhere."""
BOTH = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
WAIT = 0.3


@pytest.fixture
def lab(lab: Any, guarded: Any) -> Iterator[Any]:
    before = lab.target.settings
    lab.target.settings = msgspec.structs.replace(before, vxlan_port=PORT)
    lab.bring(guarded.state)
    yield lab
    lab.target.settings = before


def with_tunnels(state: DesiredState, *peers: str, tunnels: Tunnels) -> DesiredState:
    """`peers` are the other nodes, all of them with an end of a VXLAN tunnel."""
    found = sorted(map(Cidr.host, peers))
    members = Members(*(b"".join(one.packed for one in found if one.family == family) for family in (4, 6)))
    state.network = Network(tunnels)
    state.sets |= {one: IPSet(one, members) for one in state.network.set_ids()}
    return state


VXLAN = Tunnels(vxlan=(4, 6))


@contextmanager
def listening(lab: Any, name: str) -> Iterator[socket.socket]:
    """For IP in IP."""
    with inside(lab.namespaces[name]):
        one = socket.socket(socket.AF_INET, socket.SOCK_RAW, IPIP)
    with one:
        one.settimeout(WAIT)
        yield one


def tunnels_ipip(lab: Any, sender: str, receiver: str, address: str) -> bool:
    """Whether a packet in a packet arrives."""
    with listening(lab, receiver) as listener, listening(lab, sender) as speaker:
        speaker.sendto(bytes(20), (address, 0))
        try:
            return bool(listener.recv(100))
        except TimeoutError:
            return False


@BOTH
def test_vxlan_is_admitted_from_nodes_alone(lab: Any, guarded: Any, family: int) -> None:
    lab.bring(with_tunnels(guarded.state, *NEAR, tunnels=VXLAN))
    assert lab.arrives("near", HOST[family], PORT)
    assert not lab.arrives("far", HOST[family], PORT)
    assert lab.arrives("far", HOST[family], 80)
    lab.target.settings = msgspec.structs.replace(lab.target.settings, external_nodes=(Cidr.parse("198.51.100.0/24"),))
    lab.bring(guarded.state)
    assert lab.arrives("far", HOST[family], PORT) == (not family)


def test_a_node_that_goes_is_shut_out_by_one_element(lab: Any, guarded: Any) -> None:
    state = with_tunnels(guarded.state, *NEAR, *FAR, tunnels=VXLAN)
    lab.bring(state)
    assert lab.arrives("far", HOST[0], PORT)
    chains = lab.run("host", "nft", "-a", "list", "table", "inet", "tortie").count("handle")
    lab.bring(with_tunnels(state, *NEAR, tunnels=VXLAN), Changes(sets={VXLAN_PEERS}))
    assert not lab.arrives("far", HOST[0], PORT)
    assert lab.run("host", "nft", "-a", "list", "table", "inet", "tortie").count("handle") == chains


def test_ip_in_ip_is_admitted_from_nodes_alone(lab: Any, guarded: Any) -> None:
    lab.bring(with_tunnels(guarded.state, *NEAR, tunnels=Tunnels(ipip=True)))
    assert tunnels_ipip(lab, "near", "host", HOST[0])
    assert not tunnels_ipip(lab, "far", "host", HOST[0])


@BOTH
def test_tunnels_of_nodes_pass_host_endpoints_both_ways(lab: Any, guarded: Any, family: int) -> None:
    guarded.endpoint("h", "*")
    lab.bring(guarded.state)
    assert not lab.arrives("near", HOST[family], PORT)
    assert not lab.arrives("host", NEAR[family], PORT)
    lab.bring(with_tunnels(guarded.state, *NEAR, tunnels=Tunnels(ipip=True, vxlan=(4, 6))))
    assert lab.arrives("near", HOST[family], PORT)
    assert lab.arrives("host", NEAR[family], PORT)
    assert not lab.arrives("host", FAR[family], PORT)
    assert not lab.arrives("near", HOST[family], 80)
    assert family or tunnels_ipip(lab, "near", "host", HOST[0])


@BOTH
def test_workloads_make_no_tunnels_whatever_their_policy_says(lab: Any, family: int) -> None:
    assert not lab.arrives("pod1", NEAR[family], PORT)
    assert lab.arrives("pod1", NEAR[family], 80)
    assert family or not tunnels_ipip(lab, "pod1", "near", NEAR[0])


def test_workloads_make_tunnels_where_an_operator_says_so(lab: Any, guarded: Any) -> None:
    lab.target.settings = Settings(vxlan_port=PORT, vxlan_from_workloads=True, ipip_from_workloads=True)
    lab.bring(guarded.state)
    assert lab.arrives("pod1", NEAR[0], PORT)
    assert tunnels_ipip(lab, "pod1", "near", NEAR[0])


def test_wireguard_passes_host_endpoints(lab: Any, guarded: Any) -> None:
    families = {4: WireguardSettings("wireguard.cali", 80), 6: WireguardSettings("wg-v6.cali", 82)}
    lab.target.settings = Settings(wireguard=families)
    lab.bring(with_tunnels(guarded.endpoint("h", "eth0").state, tunnels=Tunnels(wireguard=(4,))))
    assert lab.answers("near", HOST[0], 80)
    assert lab.answers("host", NEAR[0], 80)
    assert not lab.arrives("near", HOST[0], 81)
    assert not lab.arrives("near", HOST[1], 80)


@contextmanager
def real_tunnel(lab: Any) -> Iterator[None]:
    """A VXLAN device on the host and one at `near`, whose inner address is 10.99.0.2."""
    ends = {"host": (HOST[0], NEAR[0], "10.99.0.1"), "near": (NEAR[0], HOST[0], "10.99.0.2")}
    try:
        for name, (own, peer, inner) in ends.items():
            options = ("id", "4096", "dstport", "4789", "local", own, "remote", peer)
            lab.run(name, "ip", "link", "add", "vxlan.calico", "type", "vxlan", *options)
            lab.run(name, "ip", "addr", "add", f"{inner}/24", "dev", "vxlan.calico")
            lab.run(name, "ip", "link", "set", "vxlan.calico", "up")
        lab.run("near", "ip", "route", "add", POD[0], "via", "10.99.0.1")
        yield
    finally:
        for name in ends:
            lab.run(name, "ip", "link", "del", "vxlan.calico")


def test_outer_packets_are_not_tracked_and_carry_real_tunnels(lab: Any, guarded: Any) -> None:
    lab.target.settings = Settings()
    lab.bring(with_tunnels(guarded.endpoint("h", "eth0").state, NEAR[0], tunnels=Tunnels(vxlan=(4,))))
    with real_tunnel(lab):
        assert any(lab.arrives("near", "10.99.0.1", 80) for _ in range(20))
        assert "dport=4789" not in lab.run("host", "conntrack", "-L")


def seen_as(lab: Any, source: str, destination: str, receiver: str) -> tuple[str, int]:
    """From where a datagram of the host, sent from an address of it, seems to come; its answer must come back."""
    with inside(lab.namespaces["host"]):
        speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(lab.namespaces[receiver]):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with speaker, listener:
        listener.bind(("", 7777))
        speaker.bind((source, 0))
        for one in (speaker, listener):
            one.settimeout(1)
        speaker.sendto(b"?", (destination, 7777))
        seen: tuple[str, int] = listener.recvfrom(10)[1]
        listener.sendto(b"!", seen)
        assert speaker.recvfrom(10) == (b"!", (destination, 7777))
        return seen


def test_what_the_host_sends_into_a_tunnel_comes_from_there_and_never_from_the_tunnels_own_port(
    lab: Any, guarded: Any
) -> None:
    lab.target.settings = Settings()
    with real_tunnel(lab):
        lab.bring(with_tunnels(guarded.state, NEAR[0], tunnels=Tunnels(vxlan=(4, 6))))
        found = [seen_as(lab, HOST[0], "10.99.0.2", "near") for _ in range(20)]
        assert {address for address, _ in found} == {"10.99.0.1"}
        assert all(port > 4789 for _, port in found)
        assert len({port for _, port in found}) > 10, "and any other port"
        with inside(lab.namespaces["host"]):
            free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with free:
            free.connect(("10.99.0.2", 7777))
            assert free.getsockname()[0] == "10.99.0.1"
        assert seen_as(lab, "10.99.0.1", "10.99.0.2", "near")[0] == "10.99.0.1"
        assert seen_as(lab, HOST[0], NEAR[0], "near")[0] == HOST[0]
        lab.target.settings = Settings(vxlan_port=50000)
        lab.bring(guarded.state)
        shown = lab.run("host", "nft", "list", "chain", "inet", "tortie", "nat-out")
        assert shown.count("1024-49999") == 2, "whichever side has more ports"


def test_policy_of_a_wildcard_about_forwarding_is_for_what_comes_and_goes_by_tunnels(lab: Any, guarded: Any) -> None:
    """An endpoint of the interface below sees tunnels only, which it lets through whatever its policy."""
    lab.target.settings = Settings()
    tunnels = Tunnels(vxlan=(4,))
    shut = guarded.tiers(Action.DENY)
    ways = (("near", POD[0], "pod1"), ("pod1", "10.99.0.2", "near"))
    for interface in ("eth0", "*"):
        guarded.endpoint("h", interface, forward_ingress=shut, forward_egress=shut)
        with real_tunnel(lab):
            lab.bring(with_tunnels(guarded.state, NEAR[0], tunnels=tunnels))
            for sender, address, receiver in ways:
                arrived = any(lab.arrives(sender, address, 80, receiver) for _ in range(5))
                assert arrived == (interface == "eth0"), (interface, sender)
            lab.bring(with_tunnels(open_state(guarded), NEAR[0], tunnels=tunnels))
            assert all(any(lab.arrives(*way[:2], 80, way[2]) for _ in range(5)) for way in ways)


def open_state(guarded: Any) -> DesiredState:
    """Without the host endpoint."""
    return DesiredState(policies=guarded.state.policies, endpoints=guarded.state.endpoints)


def test_base_chains_for_tunnels_are_there_only_while_they_judge(lab: Any, guarded: Any) -> None:
    def hooked() -> set[str]:
        words = lab.run("host", "nft", "list", "chains").split()
        return {word for word in words if word.startswith("tunnel-")}

    assert hooked() == set()
    state = with_tunnels(guarded.state, *NEAR, tunnels=Tunnels(ipip=True))
    lab.bring(state, Changes(sets={NODES}, network=True))
    assert hooked() == {"tunnel-admission"}
    lab.bring(guarded.endpoint("h", "eth0", is_open=True).state, Changes(host_endpoints={"h"}))
    assert hooked() == {"tunnel-admission", "tunnel-departure"}
    state.network, state.sets = Network(), {}
    lab.bring(state, Changes(sets={NODES}, network=True))
    assert hooked() == set()
    assert not lab.plan(state).operations


def test_what_is_dropped_is_told_by_name(lab: Any, guarded: Any) -> None:
    lab.bring(with_tunnels(guarded.state, *NEAR, tunnels=VXLAN))
    admission = RuleName("Layout", "", "tunnel-admission", Direction.INGRESS, END)
    sender = RuleName("Endpoint", "", "no match", Direction.EGRESS, ENCAPSULATED)
    before = lab.counters()
    lab.arrives("far", HOST[0], PORT)
    lab.arrives("pod1", NEAR[0], PORT)
    counted = lab.counters()
    assert [counted[one.identity][0] - before[one.identity][0] for one in (admission, sender)] == [1, 1]
    said = [words(one) for one in (admission, sender)]
    assert [one.fate for one in said if one] == [Fate.DENY, Fate.DENY]
