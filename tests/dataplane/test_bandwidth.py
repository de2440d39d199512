"""Bandwidths of workloads: what is planned, what the kernel has afterwards, and what gets through."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.dataplane.bandwidth import Actual, BandwidthTarget, Known, Limit, RemoveMirror, bucket_of, mirror_of
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.limits import NO_LIMITS, Bandwidth, Limits
from tortie.desired.policy import Direction, PolicyList
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import links
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

POD = EndpointId("shop", "pod1")
SLOW = Limits(bandwidth=Bandwidth(800_000, 80_000))
"""100 kB a second, 10 kB at once."""
FLOOD = 200
SO_RCVBUFFORCE = 33
"""asm-generic/socket.h: enough for a whole flood."""


def limited(ingress: Limits = NO_LIMITS, egress: Limits = NO_LIMITS) -> DesiredState:
    none = PolicyList()
    one = Endpoint(POD, "cali1", (Cidr.parse("10.65.0.1"),), none, none, ingress_limits=ingress, egress_limits=egress)
    return DesiredState(endpoints={POD: one})


def known_links(*found: links.Link) -> LinkTable:
    table = LinkTable()
    table.replace(found)
    return table


def target(table: LinkTable) -> BandwidthTarget:
    return BandwidthTarget(table, None)  # type: ignore[arg-type]  # planning needs no socket


CALI1 = links.Link(7, "cali1", "veth", mtu=1500)


def test_a_bucket_takes_at_least_one_packet_and_its_limit_is_what_waits_a_moment() -> None:
    assert bucket_of(Bandwidth(8_000_000, 1000), 1500).burst == 1518
    found = bucket_of(Bandwidth(8_000_000, 8 * 10**6, 16_000_000, 0), 1500)
    assert (found.rate, found.burst, found.limit) == (10**6, 10**6, 10**6 + 25_000)
    assert (found.peak, found.least_burst) == (2 * 10**6, 1518)
    assert bucket_of(Bandwidth(8_000_000, 1 << 40), 1500).limit == (1 << 32) - 1
    assert bucket_of(Bandwidth(8_000_000, 1000, peak=8_000_000), 1500).peak == 0


def test_only_what_differs_is_planned_and_an_interface_that_is_missing_waits() -> None:
    one = target(known_links(CALI1))
    desired = limited(SLOW, SLOW)
    plan = one.plan(desired, Actual({}, set()), None)
    assert [(op.direction, op.index) for op in plan.operations if isinstance(op, Limit)] == [
        (Direction.INGRESS, 7),
        (Direction.EGRESS, 7),
    ]
    actual = one.applied(Actual({}, set()), plan)
    assert actual.mirrors == {mirror_of("cali1")}
    assert not one.plan(desired, actual, None).operations
    assert not one.plan(desired, actual, Changes(endpoints={POD})).operations
    (change,) = one.plan(limited(SLOW), actual, Changes(endpoints={POD})).operations[:1]
    assert change == Limit("cali1", 7, Direction.EGRESS, None)
    assert one.plan(limited(SLOW), actual, None).operations[-1] == RemoveMirror(mirror_of("cali1"))
    missing = target(known_links()).plan(desired, Actual({}, set()), None)
    assert missing.waiting == {"shop/pod1": "interface cali1 does not exist"}


def test_a_device_that_was_made_anew_gets_its_limits_again() -> None:
    one = target(known_links(CALI1))
    numbers = (100_000, 12_500, 0, 0, 0)
    actual = Actual({"cali1": Known(6, numbers, numbers)}, {mirror_of("cali1")})
    assert len(one.plan(limited(SLOW, SLOW), actual, Changes(interfaces={"cali1"})).operations) == 2


def test_nothing_is_looked_at_where_nobody_is_limited() -> None:
    plan = target(known_links(CALI1)).plan(limited(), Actual({}, set()), Changes(endpoints={POD}))
    assert not plan.operations


class Pair:
    """A host with a workload behind cali1."""

    def __init__(self) -> None:
        self.host, self.workload = anonymous_namespace(), anonymous_namespace()
        with inside(self.host):
            where = f"/proc/{os.getpid()}/fd/{self.workload}"
            self.run("ip", "link", "add", "cali1", "type", "veth", "peer", "name", "eth0", "netns", where)
            self.run("ip", "addr", "add", "10.65.0.254/24", "dev", "cali1")
            self.run("ip", "link", "set", "cali1", "up")
            self.socket = NetlinkSocket(NETLINK_ROUTE)
        with inside(self.workload):
            self.run("ip", "addr", "add", "10.65.0.1/24", "dev", "eth0")
            self.run("ip", "link", "set", "eth0", "up")
        with inside(self.host):
            self.table = known_links(*links.list_links(self.socket))
            self.target = BandwidthTarget(self.table, self.socket)
        for way in ((self.host, self.workload, "10.65.0.1"), (self.workload, self.host, "10.65.0.254")):
            assert any(self.arrived(*way, 1) for _ in range(50)), "links and neighbours come in the kernel's own time"

    def run(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def bring(self, desired: DesiredState) -> None:
        with inside(self.host):
            actual = self.target.read()
            plan = self.target.plan(desired, actual, None)
            self.target.apply(plan.operations)
            found = self.target.applied(actual, plan)
            assert found == self.target.read()
            assert not self.target.plan(desired, found, None).operations

    def queues(self) -> dict[str, str]:
        with inside(self.host):
            shown = json.loads(self.run("tc", "-j", "qdisc", "show"))
        return {one["dev"]: one["kind"] for one in shown if one["kind"] == "tbf"}

    def shown(self) -> dict[str, str]:
        """What the kernel tells of each bucket."""
        with inside(self.host):
            found = json.loads(self.run("tc", "-j", "-s", "qdisc", "show"))
        return {one["dev"]: json.dumps(one["options"]) for one in found if one["kind"] == "tbf"}

    def arrived(self, sender: int, receiver: int, address: str, count: int = FLOOD) -> int:
        """How many of so many datagrams of 1000 bytes arrive."""
        with inside(receiver):
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(sender):
            speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with listener, speaker:
            listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
            listener.bind(("", 7777))
            listener.settimeout(0.3)
            for _ in range(count):
                speaker.sendto(bytes(972), (address, 7777))
            found = 0
            with contextlib.suppress(TimeoutError):
                while found < count and listener.recv(2000):
                    found += 1
            return found

    def received(self) -> int:
        return self.arrived(self.host, self.workload, "10.65.0.1")

    def sent(self) -> int:
        return self.arrived(self.workload, self.host, "10.65.0.254")

    def close(self) -> None:
        self.socket.close()
        os.close(self.host)
        os.close(self.workload)


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    """The same for many examples."""
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@pytest.mark.kernel
def test_what_is_above_the_bandwidth_does_not_get_through_in_either_direction(pair: Pair) -> None:
    assert pair.received() == pair.sent() == FLOOD
    pair.bring(limited(ingress=SLOW))
    assert 10 <= pair.received() < FLOOD / 2
    assert pair.sent() == FLOOD
    pair.bring(limited(egress=SLOW))
    assert pair.received() == FLOOD
    assert 10 <= pair.sent() < FLOOD / 2
    assert pair.queues() == {mirror_of("cali1"): "tbf"}
    pair.bring(limited())
    assert pair.received() == pair.sent() == FLOOD
    assert pair.queues() == {}


@pytest.mark.kernel
def test_a_bandwidth_changes_in_place_with_peaks_and_beyond_32_bits(pair: Pair) -> None:
    for rate in (10**6, 10**9, 10**11):
        fast = Limits(bandwidth=Bandwidth(rate, 1 << 32, peak=2 * rate, least_burst=10**6))
        pair.bring(limited(fast, fast))
    assert pair.received() == pair.sent() == FLOOD
    pair.bring(limited(SLOW, SLOW))
    assert pair.received() < FLOOD / 2
    assert pair.sent() < FLOOD / 2


@pytest.mark.kernel
@pytest.mark.parametrize(
    "asked",
    [
        {"rate": 900_000},
        {"burst": 90_000},
        {"peak": 3_000_000},
        {"least_burst": 30_000},
    ],
    ids=str,
)
def test_every_number_that_changes_reaches_the_kernel(pair: Pair, asked: dict[str, int]) -> None:
    first = Bandwidth(800_000, 80_000, peak=2_000_000, least_burst=20_000)
    pair.bring(limited(*[Limits(bandwidth=first)] * 2))
    before = pair.shown()
    pair.bring(limited(*[Limits(bandwidth=msgspec.structs.replace(first, **asked))] * 2))
    assert len(before) == 2
    assert not before.items() & pair.shown().items()


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.integers(1, 1 << 37), st.integers(1, 1 << 37))
@settings(max_examples=settings.default.max_examples // 2)
@pytest.mark.kernel
def test_what_the_kernel_tells_of_any_bucket_is_what_was_written(
    cable: Pair, rate: int, burst: int, peak: int, least: int
) -> None:
    any_bandwidth = Limits(bandwidth=Bandwidth(rate, burst, peak, least))
    cable.bring(limited(any_bandwidth, any_bandwidth))


@pytest.mark.kernel
def test_what_somebody_else_took_away_is_put_back(pair: Pair) -> None:
    desired = limited(SLOW, SLOW)
    pair.bring(desired)
    with inside(pair.host):
        for damage in (
            ("tc", "qdisc", "del", "dev", "cali1", "root"),
            ("tc", "filter", "del", "dev", "cali1", "ingress"),
            ("ip", "link", "del", mirror_of("cali1")),
        ):
            pair.run(*damage)
            pair.bring(desired)
    assert pair.received() < FLOOD / 2
    assert pair.sent() < FLOOD / 2


@pytest.mark.kernel
def test_a_workload_whose_mirror_is_gone_is_not_cut_off(pair: Pair) -> None:
    pair.bring(limited(egress=SLOW))
    with inside(pair.host):
        pair.run("ip", "link", "del", mirror_of("cali1"))
    pair.bring(limited())
    assert pair.sent() == FLOOD


@pytest.mark.kernel
def test_mirrors_of_interfaces_that_are_gone_go_too_and_others_stay(pair: Pair) -> None:
    pair.bring(limited(egress=SLOW))
    with inside(pair.host):
        pair.run("ip", "link", "add", "bwp1234", "type", "ifb")
        pair.run("ip", "link", "del", "cali1")
        pair.table.replace(links.list_links(pair.socket))
    pair.bring(DesiredState())
    with inside(pair.host):
        assert {one.name for one in links.list_links(pair.socket)} == {"lo", "bwp1234"}
