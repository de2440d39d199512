"""Random desired states, a namespace to program, and shorthands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.limits import Limits
from tortie.desired.network import FloatingAddress, Network, Tunnels
from tortie.desired.packed import pack
from tortie.desired.policy import (
    Action,
    ICMPMatch,
    Policy,
    PolicyId,
    PolicyList,
    PortRange,
    Rule,
    Side,
    Stage,
    TierPolicies,
)
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside

ADDRESS_SETS = ("s:a", "s:b")
PORT_SETS = ("n:a", "n:b")
POLICIES = tuple(PolicyId("NetworkPolicy", "shop", name) for name in "abc")
STAGED = tuple(PolicyId("StagedNetworkPolicy", "shop", name) for name in "ab")
PROFILES = (PolicyId("Profile", "", "p"),)
NETS = tuple(Cidr.parse(text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "255.0.0.0/8"))
NETS6 = tuple(Cidr.parse(text) for text in ("::/0", "fd00::/8", "fd00::/64", "fd00:0:0:1::/64"))

nets4 = st.lists(st.sampled_from(NETS), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
nets6 = st.lists(st.sampled_from(NETS6), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
hosts4 = st.lists(st.binary(min_size=4, max_size=4), max_size=4).map(lambda found: pack(found, 4))
hosts6 = st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(lambda found: pack(found, 16))
ports4 = st.lists(st.binary(min_size=7, max_size=7), max_size=4).map(lambda found: pack(found, 7))
ports6 = st.lists(st.binary(min_size=19, max_size=19), max_size=3).map(lambda found: pack(found, 19))
members = st.builds(Members, hosts4=hosts4, hosts6=hosts6, nets4=nets4, nets6=nets6)
port_members = st.builds(Members, ports4=ports4, ports6=ports6)
port = st.integers(0, 65535)
ranges = st.lists(
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: PortRange(min(pair), max(pair))),
    max_size=3,
).map(tuple)


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """A few of these, usually none."""
    chosen = st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple) if values else st.just(())
    return st.one_of(st.just(()), chosen)


tunnels = st.builds(Tunnels, st.booleans(), st.sampled_from(((), (4,), (4, 6))), st.sampled_from(((), (4,))))
limits = st.one_of(
    st.just(Limits()), st.builds(Limits, st.sampled_from((0, 9)), st.sampled_from((5, 7)), st.integers(0, 2))
)
floating = st.lists(
    st.builds(
        FloatingAddress,
        st.sampled_from([Cidr.parse(f"192.0.2.{n}") for n in range(3)]),
        st.sampled_from([Cidr.parse(f"10.0.0.{n}") for n in range(2)]),
    ),
    max_size=3,
    unique_by=lambda one: one.external,
).map(lambda found: tuple(sorted(found)))
networks = st.one_of(
    st.just(Network()),
    st.builds(
        Network,
        tunnels,
        st.sampled_from(((), NETS[1:2], (*NETS[1:3], *NETS6[1:2]), NETS[:1])),
        st.sampled_from(((), NETS[1:2], (*NETS[1:2], *NETS6[1:2]))),
        st.sampled_from(((), NETS[1:2])),
        floating,
        st.sampled_from(((), (46,), (10, 46))),
    ),
)


@st.composite
def rules(draw: st.DrawFn, sets: tuple[str, ...], ports: tuple[str, ...], index: int) -> Rule:
    """Any rule that the contract allows."""
    family = draw(st.sampled_from((None, 4, 6)))
    nets = {4: nets4, 6: nets6}.get(family or 0, st.just(()))
    sides = st.builds(
        Side,
        nets=st.one_of(st.just(()), nets),
        not_nets=st.one_of(st.just(()), nets),
        sets=some(sets),
        not_sets=some(sets),
        ports=st.one_of(st.just(()), ranges),
        port_sets=some(ports),
        not_ports=st.one_of(st.just(()), ranges),
        not_port_sets=some(ports),
        service_sets=some(ports),
    )
    icmp = st.one_of(st.none(), st.none(), st.builds(ICMPMatch, st.integers(0, 255), st.one_of(st.none(), st.just(0))))
    return Rule(
        draw(st.sampled_from(Action)),
        index,
        family,
        draw(st.sampled_from((None, None, 1, 6, 17, 58, 253))),
        draw(st.sampled_from((None, None, None, 6))),
        draw(icmp),
        draw(icmp),
        draw(sides),
        draw(sides),
    )


@st.composite
def policies(draw: st.DrawFn, id: PolicyId, sets: tuple[str, ...], ports: tuple[str, ...]) -> Policy:
    """A policy or profile that names only these sets."""
    chosen = [draw(st.lists(st.integers(0, 9), max_size=2)) for _ in range(2)]
    ingress, egress = (tuple(draw(rules(sets, ports, index)) for index in range(len(one))) for one in chosen)
    stage = draw(st.sampled_from((Stage.NORMAL, Stage.NORMAL, *Stage)))
    return Policy(id, "" if id.kind == "Profile" else "default", ingress, egress, stage)


@st.composite
def states(draw: st.DrawFn) -> DesiredState:
    """A whole desired state, references closed."""
    sets = tuple(draw(st.lists(st.sampled_from(ADDRESS_SETS), unique=True)))
    ports = tuple(draw(st.lists(st.sampled_from(PORT_SETS), unique=True)))
    state = DesiredState()
    state.sets = {one: IPSet(one, draw(members)) for one in sets} | {
        one: IPSet(one, draw(port_members), ports=True) for one in ports
    }
    chosen = draw(st.lists(st.sampled_from((*POLICIES, *STAGED, *PROFILES)), unique=True))
    state.policies = {one: draw(policies(one, sets, ports)) for one in chosen}
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        profiles = [one for one in chosen if one.kind == "Profile"]
        endpoint = draw(endpoints(name, [one for one in chosen if one not in profiles], profiles))
        state.endpoints[endpoint.id] = endpoint
    for name in draw(st.lists(st.sampled_from("hij"), unique=True)):
        host = draw(host_endpoints(name, [one for one in chosen if one.kind != "Profile" and not one.is_staged]))
        state.host_endpoints[host.name] = host
    state.network = draw(networks)
    state.sets |= {one: IPSet(one, Members(draw(hosts4), draw(hosts6))) for one in sorted(state.network.set_ids())}
    return state


@st.composite
def tiers(draw: st.DrawFn, chosen: list[PolicyId]) -> tuple[TierPolicies, ...]:
    """Up to one tier with some of these policies."""
    governing = tuple(draw(st.lists(st.sampled_from(chosen), unique=True))) if chosen else ()
    default = draw(st.sampled_from((Action.DENY, Action.PASS)))
    return (TierPolicies("default", governing, default),) if governing else ()


@st.composite
def host_endpoints(draw: st.DrawFn, name: str, chosen: list[PolicyId]) -> HostEndpoint:
    """A host endpoint governed by some of these; interfaces collide now and then."""
    return HostEndpoint(
        HostEndpointName(name),
        draw(st.sampled_from(("eth0", "eth1", "*", ""))),
        draw(st.sampled_from(((), (Cidr.parse("10.0.0.1"),)))),
        PolicyList(draw(tiers(chosen))),
        PolicyList(draw(tiers(chosen))),
        *(draw(tiers(chosen)) for _ in range(5)),
    )


@st.composite
def endpoints(draw: st.DrawFn, name: str, chosen: list[PolicyId], profiles: list[PolicyId]) -> Endpoint:
    """An endpoint governed by some of these; interfaces collide now and then."""
    lists = []
    for _ in range(2):
        enforced = draw(tiers([one for one in chosen if not one.is_staged]))
        pending = draw(st.one_of(st.none(), tiers(chosen)))
        lists.append(PolicyList(enforced, tuple(profiles), pending))
    return Endpoint(
        EndpointId("shop", name),
        draw(st.sampled_from(("cali1", "cali2", "cali3"))),
        draw(st.sampled_from(((), (Cidr.parse("10.0.0.1"),), (Cidr.parse("10.0.0.2"), Cidr.parse("fd00::2"))))),
        *lists,
        active=draw(st.sampled_from((True, True, False))),
        allowed_sources=draw(st.sampled_from(((), (*NETS[1:3], Cidr.parse("1.1.1.1")), NETS[:1], NETS6[:2]))),
        ingress_limits=draw(limits),
        egress_limits=draw(limits),
    )


@pytest.fixture
def namespace() -> Iterator[int]:
    """An empty network namespace, entered by the test's thread."""
    descriptor = anonymous_namespace()
    with inside(descriptor):
        yield descriptor
    os.close(descriptor)


@pytest.fixture(scope="session")
def random_states() -> Callable[[], st.SearchStrategy[DesiredState]]:
    """The strategy, for tests that draw more than one."""
    return states
