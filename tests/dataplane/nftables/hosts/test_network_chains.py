"""Packets to services that nobody has, and code points: as they are on the wire."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.settings import Outgoing, ServiceLoops, Settings
from tortie.desired.network import NODES, Network, code_point_set
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import inside

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
HOST = ("192.0.2.1", "fd00:2::1")
NEAR = ("192.0.2.9", "fd00:2::9")
POD = ("10.65.0.1", "fd00:65::1")
OTHER = ("10.65.0.2", "fd00:65::2")
UNUSED = ("10.96.9.9", "fd00:96::9:9")
SERVICES = (Cidr.parse("10.96.0.0/16"), Cidr.parse("fd00:96::/64"))
POOLS = (Cidr.parse("10.65.0.0/16"), Cidr.parse("fd00:65::/64"))
BOTH = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
EF = 46
IPV6_RECVTCLASS, IPV6_TCLASS = 66, 67


@pytest.fixture
def lab(lab: Any) -> Iterator[Any]:
    before = lab.target.settings
    lab.target.settings = Settings()
    yield lab
    lab.target.settings = before


@pytest.fixture
def departures(lab: Any) -> Iterator[Callable[[], int]]:
    """How many packets to addresses of services have left the host."""
    hook = "add chain inet watch out { type filter hook postrouting priority 200; }"
    counting = (f"add rule inet watch out {word} daddr {UNUSED[n]} counter" for n, word in enumerate(("ip", "ip6")))
    lab.run("host", "nft", "; ".join(("add table inet watch", hook, *counting)))

    def count() -> int:
        return sum(map(int, re.findall(r"packets (\d+)", lab.run("host", "nft", "list", "table", "inet", "watch"))))

    yield count
    lab.run("host", "nft", "delete", "table", "inet", "watch")


def is_told(lab: Any, destination: str) -> bool:
    """Whether `far` is told that nobody is there when it sends something."""
    with inside(lab.namespaces["far"]):
        speaker = socket.socket(socket.AF_INET6 if ":" in destination else socket.AF_INET, socket.SOCK_DGRAM)
    with speaker:
        speaker.settimeout(0.3)
        speaker.connect((destination, 99))
        speaker.send(b"?")
        try:
            speaker.recv(10)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


@BOTH
def test_packets_to_services_that_nobody_has_do_not_go_round(
    lab: Any, guarded: Any, departures: Callable[[], int], family: int
) -> None:
    guarded.state.network = Network(services=SERVICES)
    for choice, leaves, told in (
        (ServiceLoops.DROP, False, False),
        (ServiceLoops.REJECT, False, True),
        (ServiceLoops.DISABLED, True, False),
    ):
        lab.target.settings = Settings(service_loops=choice)
        lab.bring(guarded.state)
        assert is_told(lab, UNUSED[family]) == told, choice
        assert (departures() > 0) == leaves, choice


@BOTH
def test_services_that_somebody_has_are_reached(lab: Any, guarded: Any, family: int) -> None:
    guarded.state.network = Network(services=SERVICES)
    lab.bring(guarded.state, Changes(network=True))
    assert lab.arrives("near", ("10.96.0.2", "fd00:96::2")[family], 53, "pod1")


def received(lab: Any, sender: str, destination: str, receiver: str) -> int:
    """The code point with which a datagram of this sender arrives."""
    version = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with inside(lab.namespaces[receiver]):
        listener = socket.socket(version, socket.SOCK_DGRAM)
    with inside(lab.namespaces[sender]):
        speaker = socket.socket(version, socket.SOCK_DGRAM)
    with listener, speaker:
        listener.settimeout(0.5)
        listener.bind(("", 9999))
        if version == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        speaker.sendto(b"?", (destination, 9999))
        _, told, *_ = listener.recvmsg(10, 100)
        return int.from_bytes(told[0][2][:1], "little") >> 2


def asking(state: DesiredState, value: int, pods: tuple[str, str]) -> DesiredState:
    own = Members(Cidr.host(pods[0]).packed, Cidr.host(pods[1]).packed)
    state.network = Network(pools=POOLS, masqueraded=POOLS, code_points=(value,))
    state.sets = {code_point_set(value): IPSet(code_point_set(value), own), NODES: IPSet(NODES, Members())}
    return state


@BOTH
def test_a_code_point_is_on_everything_that_leaves_the_pools(lab: Any, guarded: Any, family: int) -> None:
    state = asking(guarded.state, EF, POD)
    lab.bring(state, Changes(network=True, sets=set(state.sets)))
    assert received(lab, "pod1", NEAR[family], "near") == EF
    assert received(lab, "pod1", OTHER[family], "pod2") == 0
    assert received(lab, "pod2", NEAR[family], "near") == 0
    assert received(lab, "near", POD[family], "pod1") == 0
    lab.target.settings = Settings(nat=Outgoing(interface="none"))
    lab.bring(state)
    assert received(lab, "pod1", NEAR[family], "near") == EF


@BOTH
def test_a_code_point_is_on_answers_too_and_goes_with_the_wish(lab: Any, guarded: Any, family: int) -> None:
    version = socket.AF_INET6 if family else socket.AF_INET
    state = asking(guarded.state, EF, POD)
    for wanted in (EF, 0):
        lab.bring(state)
        with inside(lab.namespaces["pod1"]):
            server = socket.socket(version, socket.SOCK_DGRAM)
        with inside(lab.namespaces["near"]):
            client = socket.socket(version, socket.SOCK_DGRAM)
        with server, client:
            server.bind(("", 9998))
            client.settimeout(0.5)
            server.settimeout(0.5)
            option = (socket.IPPROTO_IPV6, IPV6_RECVTCLASS) if family else (socket.IPPROTO_IP, socket.IP_RECVTOS)
            client.setsockopt(*option, 1)
            client.sendto(b"?", (POD[family], 9998))
            server.sendto(b"!", server.recvfrom(10)[1])
            assert client.recvmsg(10, 100)[1][0][2][0] >> 2 == wanted
        state.network, state.sets = Network(), {}


@BOTH
def test_a_host_marks_what_it_sends_itself(lab: Any, guarded: Any, family: int) -> None:
    lab.bring(asking(guarded.state, EF, HOST))
    assert received(lab, "host", NEAR[family], "near") == EF
    assert received(lab, "pod1", NEAR[family], "near") == 0


def test_without_anybody_who_asks_nothing_is_there(lab: Any, guarded: Any) -> None:
    state = asking(guarded.state, EF, POD)
    lab.bring(state)
    gone = set(state.sets)
    state.network, state.sets = Network(), {}
    lab.bring(state, Changes(network=True, sets=gone))
    shown = lab.run("host", "nft", "list", "table", "inet", "tortie")
    assert not any(name in shown for name in ("code-points", "nat-", "service-loops", "dscp"))
    assert not lab.plan(state).operations


def test_checksums_are_right_when_a_code_point_was_set(lab: Any, guarded: Any) -> None:
    lab.bring(asking(guarded.state, 63, POD))
    before = lab.run("near", "nstat", "-az", "IpInHdrErrors")
    assert received(lab, "pod1", NEAR[0], "near") == 63
    assert lab.run("near", "nstat", "-az", "IpInHdrErrors") == before
