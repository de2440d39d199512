"""How endpoints are: each state, what a pass that is refused leaves open, and that nothing is missed in any history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.agent.endpoint_states import EndpointStates, Seen
from tortie.base.addresses import Cidr
from tortie.dataplane.status import Counters, Phase, TargetStatus
from tortie.datastore.statuskeys import EndpointState
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.policy import PolicyList
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.links import Link

UP, DOWN, ERROR = EndpointState.UP, EndpointState.DOWN, EndpointState.ERROR
WEB = EndpointId("shop", "n1-k8s-web-eth0")
ADDRESS = Cidr.parse("10.65.0.1/32")


def endpoint(identity: EndpointId = WEB, interface: str = "cali1", active: bool = True) -> Endpoint:
    return Endpoint(identity, interface, (ADDRESS,), PolicyList(), PolicyList(), active=active)


def host_endpoint(name: str, interface: str = "", *expected: str) -> HostEndpoint:
    return HostEndpoint(HostEndpointName(name), interface, tuple(map(Cidr.parse, expected)))


def link(name: str, running: bool = True) -> Link:
    return Link(1, name, up=True, running=running)


def target(name: str, failing: str = "", waiting: Mapping[str, str] | None = None) -> TargetStatus:
    return TargetStatus(name, Phase.PROGRAMMED, 1, 1.0, failing, waiting or {}, Counters())


class Node:
    """A node as passes see it."""

    def __init__(self, *endpoints: Endpoint | HostEndpoint, links: tuple[Link, ...] = (link("cali1"),)) -> None:
        self.desired = DesiredState()
        for one in endpoints:
            if isinstance(one, Endpoint):
                self.desired.endpoints[one.id] = one
            else:
                self.desired.host_endpoints[one.name] = one
        self.links = {one.name: one for one in links}
        self.addresses: dict[str, frozenset[Cidr]] = {name: frozenset() for name in self.links}
        self.targets = {name: target(name) for name in ("nftables", "interfaces", "routes", "bird")}
        self.states = EndpointStates()

    def put(self, status: TargetStatus) -> None:
        self.targets[status.name] = status

    def seen(self) -> Seen:
        return Seen(self.desired, tuple(self.targets.values()), self.links.get, lambda: self.addresses)

    def workloads(self, **changes: Any) -> dict[EndpointId, EndpointState | None]:
        return self.states.workloads(Changes(**changes), self.seen())

    def hosts(self, **changes: Any) -> dict[str, EndpointState | None]:
        told = self.states.hosts(Changes(**changes), self.seen())
        return {str(name): state for name, state in told.items()}


@pytest.mark.parametrize(
    ("links", "active", "state"),
    [
        ([link("cali1")], True, UP),
        ([link("cali1", running=False)], True, DOWN),
        ([link("cali2")], True, DOWN),
        ([link("cali1")], False, DOWN),
    ],
)
def test_a_workload_is_up_when_it_is_active_and_its_interface_has_a_carrier(
    links: list[Link], active: bool, state: EndpointState
) -> None:
    assert Node(endpoint(active=active), links=tuple(links)).workloads(endpoints={WEB}) == {WEB: state}


@pytest.mark.parametrize("waiting", [str(WEB), str(ADDRESS)])
@pytest.mark.parametrize("name", ["interfaces", "routes"])
def test_a_workload_is_not_up_while_anything_of_it_waits(name: str, waiting: str) -> None:
    node = Node(endpoint())
    node.put(target(name, waiting={waiting: "interface cali1 does not exist"}))
    assert node.workloads(endpoints={WEB}) == {WEB: DOWN}


@pytest.mark.parametrize("name", ["nftables", "interfaces", "routes"])
def test_what_a_refused_pass_touched_is_an_error_until_the_target_recovers(name: str) -> None:
    node = Node(endpoint())
    node.put(target(name, "busy"))
    assert node.workloads(endpoints={WEB}) == {WEB: ERROR}
    assert node.workloads() == {WEB: ERROR}
    node.put(target(name))
    assert node.workloads() == {WEB: UP}
    assert node.workloads() == {}


def test_what_a_refused_pass_did_not_touch_stays_as_it_was() -> None:
    node = Node(endpoint())
    node.put(target("nftables", "busy"))
    assert node.workloads(policies={"some"}) == {}


def test_bgp_that_is_refused_is_no_matter_of_an_endpoint() -> None:
    node = Node(endpoint(), host_endpoint("a", "cali1"))
    node.put(target("bird", "away"))
    assert node.workloads(endpoints={WEB}) == {WEB: UP}
    assert node.hosts(host_endpoints={"a"}) == {"a": UP}


def test_an_interface_that_changes_concerns_its_endpoint_alone() -> None:
    other = EndpointId("shop", "n1-k8s-db-eth0")
    node = Node(endpoint(), endpoint(other, "cali2"))
    node.links["cali1"] = link("cali1", running=False)
    assert node.workloads(interfaces={"cali1", "cali9"}) == {WEB: DOWN}


def test_an_endpoint_that_is_gone_is_told_once_even_when_its_removal_is_refused() -> None:
    node = Node()
    node.put(target("nftables", "busy"))
    assert node.workloads(endpoints={WEB}) == {WEB: None}
    assert node.workloads() == {}


def test_a_host_endpoint_is_up_when_all_that_it_guards_is() -> None:
    node = Node(host_endpoint("a", "", "192.0.2.1/32"), links=(link("eth0"), link("eth1", running=False)))
    node.addresses["eth0"] = frozenset({Cidr.parse("192.0.2.1/32")})
    assert node.hosts(host_endpoints={"a"}) == {"a": UP}
    node.addresses["eth1"] = node.addresses["eth0"]
    assert node.hosts(addresses=True) == {"a": DOWN}


def test_a_host_endpoint_that_guards_nothing_is_an_error_and_one_for_all_is_up() -> None:
    node = Node(
        host_endpoint("a", "eth9"), host_endpoint("b", "", "192.0.2.9/32"), host_endpoint("c", "*"), links=(link("lo"),)
    )
    assert node.hosts(host_endpoints={"a", "b", "c"}) == {"a": ERROR, "b": ERROR, "c": UP}


def test_of_two_host_endpoints_for_one_interface_the_other_follows_when_the_first_goes() -> None:
    node = Node(host_endpoint("a", "eth0"), host_endpoint("b", "eth0"), links=(link("eth0"),))
    assert node.hosts(host_endpoints={"a", "b"}) == {"a": UP, "b": ERROR}
    del node.desired.host_endpoints[HostEndpointName("a")]
    assert node.hosts(host_endpoints={"a"}) == {"a": None, "b": UP}


def test_host_endpoints_are_not_looked_at_without_cause() -> None:
    node = Node(endpoint(), host_endpoint("a", "eth0"), links=(link("eth0"), link("cali1")))
    assert node.hosts(host_endpoints={"a"}) == {"a": UP}
    assert node.hosts(endpoints={WEB}, interfaces={"cali1"}) == {}


def test_a_host_endpoint_of_a_workloads_interface_follows_it() -> None:
    node = Node(host_endpoint("a", "cali1"))
    assert node.hosts(host_endpoints={"a"}) == {"a": UP}
    node.links["cali1"] = link("cali1", running=False)
    assert node.hosts(interfaces={"cali1"}) == {"a": DOWN}


def test_host_endpoints_that_a_refused_pass_touched_are_errors_until_the_filter_recovers() -> None:
    node = Node(host_endpoint("a", "cali1"))
    node.put(target("nftables", "busy"))
    assert node.hosts(host_endpoints={"a"}) == {"a": ERROR}
    node.put(target("nftables"))
    assert node.hosts() == {"a": UP}
    assert node.hosts() == {}


NAMES = ("a", "b", "c")
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["put", "remove", "carrier", "no carrier", "no link"]))
    | st.tuples(st.sampled_from(["nftables", "interfaces", "routes"]), st.sampled_from(["refused", "recovered"]))
)


def step(node: Node, name: str, what: str) -> Changes:
    """Do one thing to a node; what a pass would be told of it."""
    identity, host, interface = EndpointId("shop", name), HostEndpointName(name), f"cali{name}"
    match what:
        case "put":
            node.desired.endpoints[identity] = endpoint(identity, interface)
            node.desired.host_endpoints[host] = host_endpoint(name, interface)
        case "remove":
            node.desired.endpoints.pop(identity, None)
            node.desired.host_endpoints.pop(host, None)
        case "no link":
            node.links.pop(interface, None)
        case "carrier" | "no carrier":
            node.links[interface] = link(interface, running=what == "carrier")
        case _:
            node.put(target(name, "busy" if what == "refused" else ""))
            return Changes()
    if what in ("put", "remove"):
        return Changes(endpoints={identity}, host_endpoints={host})
    return Changes(interfaces={interface})


@given(STEPS)
def test_after_any_history_what_was_told_is_how_everything_is(steps: list[tuple[str, str]]) -> None:
    node = Node(links=())
    told: dict[Any, EndpointState | None] = {}
    recoveries = [(name, "recovered") for name in ("nftables", "interfaces", "routes")]
    for name, what in [*steps, *recoveries]:
        changes = step(node, name, what)
        told |= node.states.workloads(changes, node.seen())
        told |= node.states.hosts(changes, node.seen())
    everything = Changes(endpoints=set(node.desired.endpoints), host_endpoints=set(node.desired.host_endpoints))
    afresh = EndpointStates()
    expected: dict[Any, EndpointState | None] = {}
    expected |= afresh.workloads(everything, node.seen())
    expected |= afresh.hosts(everything, node.seen())
    assert {one: state for one, state in told.items() if state is not None} == expected
