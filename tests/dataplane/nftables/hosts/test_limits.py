"""Packets a second and connections at once of workloads: what is above is dropped or refused, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tortie.desired.endpoints import EndpointId
from tortie.desired.limits import Limits
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, Rule
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import inside

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
NEAR = ("192.0.2.9", "fd00:2::9")
POD = ("10.65.0.1", "fd00:65::1")
OTHER = ("10.65.0.2", "fd00:65::2")
FIRST, SECOND = EndpointId("shop", "pod1"), EndpointId("shop", "pod2")
BOTH = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
FLOOD = 40


def limit(state: DesiredState, **limits: Limits) -> DesiredState:
    """Give pod1 limits."""
    state.endpoints[FIRST] = msgspec.structs.replace(state.endpoints[FIRST], **limits)
    return state


@contextlib.contextmanager
def receiving(lab: Any, name: str, version: int) -> Iterator[tuple[socket.socket, int]]:
    with inside(lab.namespaces[name]):
        one = socket.socket(version, socket.SOCK_DGRAM)
    with one:
        one.bind(("", 0))
        one.settimeout(0.1)
        yield one, one.getsockname()[1]


def got_through(lab: Any, sender: str, destination: str, receiver: str) -> int:
    """How many of a flood of datagrams of one flow arrive; it takes much less than a second."""
    version = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with inside(lab.namespaces[sender]):
        speaker = socket.socket(version, socket.SOCK_DGRAM)
    with speaker, receiving(lab, receiver, version) as (listener, port):
        for _ in range(FLOOD):
            speaker.sendto(b"x", (destination, port))
        count = 0
        with contextlib.suppress(TimeoutError):
            while count < FLOOD and listener.recv(10):
                count += 1
        return count


@BOTH
def test_packets_above_the_rate_are_dropped_for_one_workload_and_one_direction(
    lab: Any, guarded: Any, family: int
) -> None:
    rate = Limits(packet_rate=1, packet_burst=10)
    lab.bring(limit(guarded.state, ingress_limits=rate), Changes(endpoints={FIRST}))
    assert 10 <= got_through(lab, "near", POD[family], "pod1") < 15
    assert got_through(lab, "pod1", NEAR[family], "near") == FLOOD
    assert got_through(lab, "near", OTHER[family], "pod2") == FLOOD
    assert got_through(lab, "host", POD[family], "pod1") == FLOOD
    lab.bring(limit(guarded.state, ingress_limits=Limits(), egress_limits=rate), Changes(endpoints={FIRST}))
    assert got_through(lab, "near", POD[family], "pod1") == FLOOD
    assert 10 <= got_through(lab, "pod1", OTHER[family], "pod2") < 15


@BOTH
def test_another_rate_or_burst_holds_from_the_next_packet_on(lab: Any, guarded: Any, family: int) -> None:
    lab.bring(guarded.state)
    for burst in (10, 20, 15):
        rate = Limits(packet_rate=1, packet_burst=burst)
        lab.bring(limit(guarded.state, ingress_limits=rate, egress_limits=rate), Changes(endpoints={FIRST}))
        assert burst <= got_through(lab, "near", POD[family], "pod1") < burst + 5
        assert burst <= got_through(lab, "pod1", NEAR[family], "near") < burst + 5
    faster = Limits(packet_rate=5000, packet_burst=FLOOD)
    lab.bring(limit(guarded.state, ingress_limits=faster, egress_limits=faster), Changes(endpoints={FIRST}))
    assert got_through(lab, "near", POD[family], "pod1") == got_through(lab, "pod1", NEAR[family], "near") == FLOOD
    assert not lab.plan(guarded.state).operations


Pair = tuple[socket.socket, socket.socket]


class Crowd:
    """Connections from one namespace to another."""

    def __init__(self, lab: Any, sender: str, address: str, receiver: str) -> None:
        self._lab, self._sender, self._address = lab, sender, address
        self._version = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(lab.namespaces[receiver]):
            self.listener = socket.socket(self._version)
        self.listener.bind(("", 0))
        self.listener.listen(20)
        self.listener.settimeout(0.5)

    def connect(self) -> Pair | None:
        """Both ends of one more connection, or None if it is refused."""
        with inside(self._lab.namespaces[self._sender]):
            one = socket.socket(self._version)
        one.settimeout(0.5)
        try:
            one.connect((self._address, self.listener.getsockname()[1]))
        except ConnectionRefusedError:
            one.close()
            return None
        return one, self.listener.accept()[0]


def eventually(connect: Callable[[], Pair | None]) -> Pair:
    """The first that succeeds: the kernel looks whether connections have ended only now and then."""
    for _ in range(100):
        if found := connect():
            return found
        time.sleep(0.02)
    raise AssertionError("every connection was refused")


def close(*ends: socket.socket, abort: bool = False) -> None:
    for one in ends:
        if abort:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.close()


@BOTH
@pytest.mark.parametrize("way", ["ingress_limits", "egress_limits"])
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "aborted"])
def test_connections_above_the_limit_are_refused_until_one_ends(
    lab: Any, guarded: Any, family: int, way: str, abort: bool
) -> None:
    lab.bring(limit(guarded.state, **{way: Limits(connections=3)}), Changes(endpoints={FIRST}))
    ends = ("near", POD[family], "pod1") if way == "ingress_limits" else ("pod1", NEAR[family], "near")
    crowd = Crowd(lab, *ends)
    held = [crowd.connect() for _ in range(3)]
    assert None not in held
    assert crowd.connect() is None
    held[0][0].send(b"still here")
    assert held[0][1].recv(20) == b"still here"
    close(*held.pop(), abort=abort)
    held.append(eventually(crowd.connect))
    for pair in held:
        close(*pair)
    crowd.listener.close()


def test_other_workloads_the_host_and_datagrams_are_not_counted(lab: Any, guarded: Any) -> None:
    lab.bring(limit(guarded.state, ingress_limits=Limits(connections=1)), Changes(endpoints={FIRST}))
    for ends in (("host", POD[0], "pod1"), ("near", OTHER[0], "pod2"), ("pod1", NEAR[0], "near")):
        crowd = Crowd(lab, *ends)
        pairs = [crowd.connect() for _ in range(3)]
        assert None not in pairs
        for pair in pairs:
            close(*pair)
        crowd.listener.close()
    assert all(lab.arrives("near", POD[0]) for _ in range(5))


def test_what_policy_denies_takes_nobodys_place(lab: Any, guarded: Any) -> None:
    state = limit(guarded.state, ingress_limits=Limits(connections=1))
    denying = Policy(PolicyId("Profile", "", "shut"), "", (Rule(Action.DENY, 0),), (Rule(Action.ALLOW, 0),))
    state.policies[denying.id] = denying
    open_list = state.endpoints[FIRST].ingress
    shut = msgspec.structs.replace(state.endpoints[FIRST], ingress=PolicyList((), (denying.id,)))
    state.endpoints[FIRST] = shut
    lab.bring(state)
    crowd = Crowd(lab, "near", POD[0], "pod1")
    crowd.listener.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        crowd.connect()
    state.endpoints[FIRST] = msgspec.structs.replace(shut, ingress=open_list)
    lab.bring(state, Changes(endpoints={FIRST}))
    pair = crowd.connect()
    assert pair is not None
    assert crowd.connect() is None, "and a change of policy forgets none"
    lab.bring(state)
    assert crowd.connect() is None, "nor does a full pass"
    close(*pair)
    crowd.listener.close()


def test_limits_outlive_idleness(lab: Any, guarded: Any) -> None:
    both = Limits(packet_rate=1, packet_burst=20, connections=2)
    lab.bring(limit(guarded.state, ingress_limits=both), Changes(endpoints={FIRST}))
    crowd = Crowd(lab, "near", POD[0], "pod1")
    pairs = [eventually(crowd.connect)]
    close(*pairs.pop())
    # The kernel looks for elements without connections every second.
    time.sleep(2.5)
    pairs = [crowd.connect() for _ in range(3)]
    assert [pair is None for pair in pairs] == [False, False, True]
    assert got_through(lab, "near", POD[0], "pod1") < FLOOD
    close(*(end for pair in pairs if pair for end in pair))
    crowd.listener.close()


def test_limits_are_elements_and_their_chains_go_with_the_last(lab: Any, guarded: Any) -> None:
    lab.bring(guarded.state)
    free = lab.run("host", "nft", "list", "table", "inet", "tortie")
    assert "packet-rates" not in free and "connection-limits" not in free
    both = Limits(packet_rate=100, packet_burst=7, connections=9)
    lab.bring(limit(guarded.state, ingress_limits=both, egress_limits=both), Changes(endpoints={FIRST}))
    shown = lab.run("host", "nft", "list", "table", "inet", "tortie")
    assert shown.count("limit rate over 100/second burst 7 packets") == shown.count("ct count over 9") == 2
    several = limit(guarded.state, ingress_limits=Limits(connections=8), egress_limits=both)
    other = msgspec.structs.replace(several.endpoints[SECOND], ingress_limits=Limits(connections=9))
    several.endpoints[SECOND] = other
    lab.bring(several, Changes(endpoints={FIRST, SECOND}))
    shown = lab.run("host", "nft", "list", "chain", "inet", "tortie", "connection-limits")
    assert shown.count("ct count over 8") == 1
    assert shown.count("ct count over 9") == 2
    assert not lab.plan(several).operations
    several.endpoints[SECOND] = msgspec.structs.replace(other, ingress_limits=Limits())
    lab.bring(several, Changes(endpoints={SECOND}))
    assert not lab.plan(guarded.state).operations
    lab.bring(limit(guarded.state, ingress_limits=Limits(), egress_limits=Limits()), Changes(endpoints={FIRST}))
    shown = lab.run("host", "nft", "list", "table", "inet", "tortie")
    assert not any(name in shown for name in ("packet-rates", "connection-limits", "connected"))
    assert not lab.plan(guarded.state).operations
