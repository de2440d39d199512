"""Routes to local workloads: what is planned, and what the kernel has afterwards."""

from __future__ import annotations

import socket as sockets
import subprocess
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.routes import Actual, Forget, Install, Loosen, Operation, Remove, Retire, RoutesTarget
from tortie.dataplane.target import Plan
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId, Migration
from tortie.desired.policy import PolicyList
from tortie.desired.routes import Route
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, conntrack, links, route
from tortie.netlink.batch import execute
from tortie.netlink.links import Link, NewLink
from tortie.netlink.monitor import LinkTable, RouteEvent
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket

A, B, A6, B6 = (Cidr.host(text) for text in ("10.65.0.1", "10.65.0.2", "fd65::1", "fd65::2"))
LINKS = {"cali1": Link(11, "cali1", up=True, running=True), "cali2": Link(12, "cali2", up=True, running=True)}


class Rig:
    """A target on sockets of its own, with the links that a test wants."""

    def __init__(self, *present: Link) -> None:
        self.rtnetlink = NetlinkSocket(NETLINK_ROUTE)
        self.nfnetlink = NetlinkSocket(NETLINK_NETFILTER)
        self.links = LinkTable()
        self.links.replace(present)
        self.target = RoutesTarget(self.links, self.rtnetlink, self.nfnetlink)
        self.desired = DesiredState()

    def close(self) -> None:
        self.rtnetlink.close()
        self.nfnetlink.close()

    def relist(self) -> None:
        self.links.replace(links.list_links(self.rtnetlink))

    def relist_until_running(self, *names: str) -> None:
        """The kernel sets IFF_RUNNING a moment after a link's both ends are up."""
        while True:
            self.relist()
            if all((link := self.links.get(name)) is not None and link.running for name in names):
                return
            time.sleep(0.002)

    def changes(self, delta: Delta | None = None, *interfaces: str) -> Changes:
        changes = Changes(interfaces=set(interfaces))
        if delta:
            self.desired.apply(delta)
            changes.note(delta)
        return changes

    def full_pass(self) -> Plan[Operation]:
        actual = self.target.read()
        plan = self.target.plan(self.desired, actual, None)
        self.target.apply(plan.operations)
        self.target.applied(actual, plan)
        return plan


def wants(**routes: str) -> Delta:
    known = {"a": A, "b": B, "a6": A6, "b6": B6}
    return Delta(routes=tuple(Route(known[name], interface) for name, interface in routes.items()))


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(*LINKS.values())
    yield rig
    rig.close()


def ours(destination: Cidr, index: int) -> route.Route:
    return route.device_route(destination, index, 1024, 80)


def step(rig: Rig, actual: Actual, changes: Changes | None) -> Plan[Operation]:
    """Plan, and pretend that it was applied."""
    plan = rig.target.plan(rig.desired, actual, changes)
    rig.target.applied(actual, plan)
    return plan


def test_a_right_kernel_is_left_alone(rig: Rig) -> None:
    rig.changes(wants(a="cali1", a6="cali2"))
    actual = {A: frozenset({ours(A, 11)}), A6: frozenset({ours(A6, 12)})}
    assert step(rig, actual, None).operations == []


def test_ipv6_metric_zero_is_what_the_kernel_makes_of_it(rig: Rig) -> None:
    rig.changes(Delta(routes=(Route(A6, "cali1", metric=0),)))
    assert step(rig, {A6: frozenset({ours(A6, 11)})}, None).operations == []


def test_an_address_that_moves_loses_its_route_then_its_connections_and_then_is_routed_anew(rig: Rig) -> None:
    rig.changes(wants(a="cali1"))
    actual: Actual = {}
    step(rig, actual, None)
    plan = step(rig, actual, rig.changes(wants(a="cali2")))
    assert plan.operations == [Remove(ours(A, 11)), Forget(A, departed=False), Install(ours(A, 12))]
    assert actual == {A: frozenset({ours(A, 12)})}


def test_all_removals_stand_before_all_forgetting_before_all_additions(rig: Rig) -> None:
    rig.changes(wants(a="cali1", b="cali2"))
    actual: Actual = {}
    step(rig, actual, None)
    plan = step(rig, actual, rig.changes(wants(a="cali2", b="cali1")))
    assert [type(one) for one in plan.operations] == [Remove, Remove, Forget, Forget, Install, Install]


def test_a_departed_address_is_forgotten_once_even_if_its_interface_went_first(rig: Rig) -> None:
    rig.changes(wants(a="cali1"))
    actual: Actual = {}
    step(rig, actual, None)
    rig.links.note(LINKS["cali1"], gone=True)
    assert step(rig, actual, rig.changes(None, "cali1")).operations == [Remove(ours(A, 11))]
    assert step(rig, actual, rig.changes(Delta(removed_routes=(A,)))).operations == [Forget(A, departed=True)]
    assert step(rig, actual, None).operations == []


def test_a_link_that_goes_down_and_up_keeps_its_connections(rig: Rig) -> None:
    rig.changes(wants(a="cali1"))
    actual: Actual = {}
    step(rig, actual, None)
    rig.links.note(Link(11, "cali1", up=True))
    down = step(rig, actual, rig.changes(None, "cali1"))
    assert (down.operations, down.waiting) == ([Remove(ours(A, 11))], {str(A): "interface cali1 is down"})
    rig.links.note(LINKS["cali1"])
    up = step(rig, actual, rig.changes(None, "cali1"))
    assert (up.operations, up.waiting, list(up.settled)) == ([Install(ours(A, 11))], {}, [str(A)])


def test_a_flap_heard_of_only_afterwards_installs_what_the_kernel_dropped_silently(rig: Rig) -> None:
    rig.changes(wants(a="cali1", b="cali2"))
    actual: Actual = {}
    step(rig, actual, None)
    assert step(rig, actual, rig.changes(None, "cali1")).operations == [Install(ours(A, 11))]


def test_an_interface_made_again_is_a_new_holder(rig: Rig) -> None:
    rig.changes(wants(a="cali1"))
    actual: Actual = {}
    step(rig, actual, None)
    rig.links.note(Link(13, "cali1", up=True, running=True))
    plan = step(rig, actual, rig.changes(None, "cali1"))
    assert plan.operations == [Remove(ours(A, 11)), Forget(A, departed=False), Install(ours(A, 13))]


def test_a_route_to_a_missing_interface_waits_and_the_rest_is_programmed(rig: Rig) -> None:
    plan = step(rig, {}, rig.changes(wants(a="cali9", b="cali2")))
    assert plan.waiting == {str(A): "interface cali9 does not exist"}
    assert Install(ours(B, 12)) in plan.operations
    assert list(plan.settled) == [str(B)]


def test_another_priority_stands_before_the_old_one_goes(rig: Rig) -> None:
    rig.changes(Delta(routes=(Route(A, "cali1", metric=512),)))
    actual: Actual = {}
    step(rig, actual, None)
    plan = step(rig, actual, rig.changes(wants(a="cali1")))
    assert plan.operations == [Install(ours(A, 11)), Retire(route.device_route(A, 11, 512, 80))]
    assert actual == {A: frozenset({ours(A, 11)})}


def test_what_runs_on_elsewhere_or_comes_running_keeps_its_connections(rig: Rig) -> None:
    rig.changes(Delta(routes=(Route(A, "cali1", metric=512, moving=True),)))
    actual: Actual = {}
    assert step(rig, actual, None).operations == [Install(route.device_route(A, 11, 512, 80)), Loosen(A)]
    rig.changes(wants(a="cali1"))
    step(rig, actual, None)
    rig.changes(Delta(routes=(Route(A, "cali1", moving=True),)))
    step(rig, actual, None)
    plan = step(rig, actual, rig.changes(Delta(removed_routes=(A,))))
    assert plan.operations == [Remove(ours(A, 11)), Forget(A, departed=True, keeps=True)]
    assert step(rig, actual, rig.changes(wants(a="cali1"))).operations == [
        Forget(A, departed=False),
        Install(ours(A, 11)),
    ]


@pytest.mark.parametrize("migration", Migration)
def test_connections_are_loosened_when_a_machine_is_on_its_way(rig: Rig, migration: Migration) -> None:
    one = Endpoint(EndpointId("vms", "a"), "cali1", (A, A6), PolicyList(), PolicyList(), migration=migration)
    expected = [] if migration is Migration.NONE else [Loosen(A), Loosen(A6)]
    actual: Actual = {}
    assert step(rig, actual, None).operations == []
    assert step(rig, actual, rig.changes(Delta(endpoints=(one,)))).operations == expected
    assert step(rig, actual, rig.changes(wants(b="cali1"))).operations == [
        Forget(B, departed=False),
        Install(ours(B, 11)),
    ]
    assert step(rig, actual, None).operations == expected


def test_a_refused_move_forgets_the_connections_again(rig: Rig) -> None:
    rig.changes(wants(a="cali1"))
    actual: Actual = {}
    step(rig, actual, None)
    rig.changes(wants(a="cali2"))
    rig.target.plan(rig.desired, actual, None)
    again = rig.target.plan(rig.desired, {}, None)
    assert again.operations == [Forget(A, departed=False), Install(ours(A, 12))]


destinations = st.sampled_from([A, B, A6, B6, Cidr.parse("10.66.0.0/26")])
interfaces = st.sampled_from(["cali1", "cali2", "cali3"])
kernel_routes = st.builds(
    lambda destination, index, metric: route.device_route(destination, index, metric, 80),
    destinations,
    st.integers(10, 14),
    st.sampled_from([512, 1024]),
)
steps = st.lists(
    st.one_of(
        st.builds(lambda one: ("want", one), st.builds(Route, destinations, interfaces, st.sampled_from([512, 1024]))),
        st.builds(lambda one: ("drop", one), destinations),
        st.builds(
            lambda name, index, running: ("link", Link(index, name, up=True, running=running)),
            interfaces,
            st.integers(11, 14),
            st.booleans(),
        ),
    ),
    max_size=12,
)


@given(st.lists(kernel_routes, max_size=6), steps, st.booleans())
def test_any_history_leads_to_the_desired_routes_and_then_to_nothing_to_do(
    found: list[route.Route], history: list[tuple[str, object]], incremental: bool
) -> None:
    rig = Rig(*LINKS.values())
    kernel = set(found)
    actual = grouped(kernel)
    play(rig, kernel, actual, None)
    for kind, what in history:
        changes = event(rig, kind, what)
        if not incremental:
            actual = grouped(kernel)
        play(rig, kernel, actual, changes if incremental else None)
        assert grouped(kernel) == actual
    assert kernel == expected(rig)
    assert rig.target.plan(rig.desired, actual, None).operations == []
    rig.close()


def event(rig: Rig, kind: str, what: object) -> Changes:
    if isinstance(what, Route):
        return rig.changes(Delta(routes=(what,)))
    if isinstance(what, Link):
        return Changes(interfaces={one.name for one in rig.links.note(what)})
    assert isinstance(what, Cidr) and kind == "drop"
    return rig.changes(Delta(removed_routes=(what,))) if what in rig.desired.routes else Changes()


def play(rig: Rig, kernel: set[route.Route], actual: Actual, changes: Changes | None) -> None:
    plan = rig.target.plan(rig.desired, actual, changes)
    for one in plan.operations:
        if isinstance(one, Remove | Retire):
            kernel.remove(one.route)
        elif isinstance(one, Install):
            kernel.add(one.route)
    rig.target.applied(actual, plan)


def grouped(kernel: set[route.Route]) -> Actual:
    by_destination: dict[Cidr, set[route.Route]] = {}
    for one in kernel:
        by_destination.setdefault(one.destination, set()).add(one)
    return {destination: frozenset(routes) for destination, routes in by_destination.items()}


def expected(rig: Rig) -> set[route.Route]:
    wanted = ((one, rig.links.get(one.interface)) for one in rig.desired.routes.values())
    return {
        route.device_route(one.destination, link.index, one.metric, 80) for one, link in wanted if link and link.running
    }


@pytest.fixture
def host(namespace: int) -> Iterator[Rig]:
    """A namespace where cali1 and cali2 run."""
    with inside(namespace):
        rig = Rig()
    for number in (1, 2):
        execute(rig.rtnetlink, links.create_veth(NewLink(f"cali{number}"), NewLink(f"peer{number}")))
        execute(rig.rtnetlink, *[links.change(f"{end}{number}", up=True) for end in ("cali", "peer")])
    rig.relist_until_running("cali1", "cali2")
    yield rig
    rig.close()


def index(rig: Rig, name: str) -> int:
    link = rig.links.get(name)
    assert link is not None
    return link.index


def in_kernel(rig: Rig, protocol: int = 80) -> set[route.Route]:
    return {one for family in (4, 6) for one in route.list_routes(rig.rtnetlink, family, protocol=protocol)}


@pytest.mark.kernel
def test_the_kernel_gets_the_routes_and_then_there_is_nothing_to_do(host: Rig) -> None:
    host.changes(wants(a="cali1", a6="cali1", b="cali2", b6="cali9"))
    assert host.full_pass().waiting == {str(B6): "interface cali9 does not exist"}
    one, two = index(host, "cali1"), index(host, "cali2")
    assert in_kernel(host) == {ours(A, one), ours(A6, one), ours(B, two)}
    assert host.full_pass().operations == []


@pytest.mark.kernel
def test_only_routes_of_our_protocol_are_removed(host: Rig) -> None:
    mine, other = ours(A, index(host, "cali1")), route.device_route(B, index(host, "cali1"), 0, 12)
    execute(host.rtnetlink, route.add(mine), route.add(other))
    host.full_pass()
    assert in_kernel(host) == set()
    assert in_kernel(host, 12) == {other}


@pytest.mark.kernel
def test_an_interface_that_vanishes_between_plan_and_apply_harms_nothing_else(host: Rig) -> None:
    host.changes(wants(a="cali1", a6="cali1", b="cali2", b6="cali2"))
    plan = host.target.plan(host.desired, host.target.read(), None)
    execute(host.rtnetlink, links.delete("cali1"))
    host.target.apply(plan.operations)
    assert in_kernel(host) == {ours(B, index(host, "cali2")), ours(B6, index(host, "cali2"))}
    host.relist()
    assert set(host.full_pass().waiting) == {str(A), str(A6)}


@pytest.mark.kernel
def test_an_interface_that_goes_down_between_plan_and_apply_waits_for_its_event(host: Rig) -> None:
    host.changes(wants(a="cali1", b="cali2"))
    plan = host.target.plan(host.desired, host.target.read(), None)
    execute(host.rtnetlink, links.change("cali1", up=False))
    host.target.apply(plan.operations)
    host.relist()
    assert host.full_pass().waiting == {str(A): "interface cali1 is down"}
    execute(host.rtnetlink, links.change("cali1", up=True))
    host.relist_until_running("cali1")
    assert host.full_pass().waiting == {}
    assert in_kernel(host) == {ours(A, index(host, "cali1")), ours(B, index(host, "cali2"))}


@pytest.mark.kernel
def test_removing_a_route_that_is_gone_already_is_no_failure(host: Rig) -> None:
    host.changes(wants(a="cali1"))
    host.full_pass()
    actual = host.target.read()
    plan = host.target.plan(host.desired, actual, host.changes(Delta(removed_routes=(A,))))
    execute(host.rtnetlink, links.delete("cali1"))
    host.target.apply(plan.operations)
    assert in_kernel(host) == set()


@pytest.mark.kernel
def test_a_refusal_that_matters_is_raised_after_the_rest_was_done(host: Rig) -> None:
    bad = ours(Cidr.host("10.65.0.9"), index(host, "cali1"))
    impossible = route.Route(bad.destination, bad.index, Cidr.host("192.0.2.1"), protocol=80)
    good = ours(A, index(host, "cali1"))
    with pytest.raises(KernelError, match=r"10\.65\.0\.9"):
        host.target.apply([Install(impossible), Install(good)])
    assert in_kernel(host) == {good}


@pytest.mark.kernel
def test_the_changes_of_others_are_told_from_our_own(host: Rig) -> None:
    mine = ours(A, index(host, "cali1"))
    assert not host.target.is_foreign(RouteEvent(mine, True, host.rtnetlink.port))
    assert host.target.is_foreign(RouteEvent(mine, True, host.rtnetlink.port + 1))
    assert not host.target.is_foreign(RouteEvent(mine, True, 0))
    assert not host.target.is_foreign(RouteEvent(route.device_route(A, 1, 0, 12), True, 1))


@pytest.mark.kernel
def test_connections_of_a_departed_address_end_and_others_stay(host: Rig, namespace: int) -> None:
    execute(host.rtnetlink, links.change("lo", up=True))
    for one in (A, B):
        execute(host.rtnetlink, addresses.add(addresses.Address(1, one, 32)))
    rules = "table inet t { chain c { type filter hook output priority 0; ct state new accept; }; }"
    enter = ["nsenter", f"--net=/proc/self/fd/{namespace}"]
    subprocess.run([*enter, "nft", rules], check=True, pass_fds=[namespace])
    for one in (A, B):
        with inside(namespace), sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as sender:
            sender.bind((one.text, 0))
            sender.sendto(b"x", ("127.0.0.1", 9))
    host.target.apply([Forget(A, departed=True)])
    assert {one.original.source for one in conntrack.list_connections(host.nfnetlink)} == {B}
