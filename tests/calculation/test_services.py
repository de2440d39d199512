"""Rules that name a service match the backends in its slices: entries with ports going out, addresses coming in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api.endpointslice import SERVICE_LABEL, Backend, BackendPort, EndpointConditions, EndpointSlice
from tortie.api.resource import Metadata
from tortie.api.rules import ServiceMatch
from tortie.calculation.services import _contents
from tortie.desired.delta import Delta
from tortie.desired.sets import IPSet


def slice_of(
    service: str, *addresses: str, name: str = "s1", namespace: str = "shop", **fields: object
) -> EndpointSlice:
    fields.setdefault("address_type", "IPv4")
    fields.setdefault("ports", (BackendPort(port=80),))
    labels = {SERVICE_LABEL: service} if service else {}
    return EndpointSlice(
        metadata=Metadata(name=name, namespace=namespace, labels=labels),
        endpoints=tuple(Backend(addresses=(address,)) for address in addresses),
        **fields,
    )


@pytest.fixture
def to_service(make, world):
    """A world with an endpoint that may only send to the service `shop/web`."""
    rule = make.allow(destination=make.Entity(services=ServiceMatch(name="web")))
    world.go(make.endpoint("client", "10.0.0.9"), make.policy("p", types=("Egress",), egress=(rule,)))
    return world


@pytest.fixture
def from_service(make, world):
    """A world with an endpoint that may only hear from the service `shop/web`."""
    rule = make.allow(source=make.Entity(services=ServiceMatch(name="web")))
    world.go(make.endpoint("server", "10.0.0.9"), make.policy("p", ingress=(rule,)))
    return world


def whole(world) -> IPSet:
    (found,) = world.state.sets.values()
    return found


def test_a_missing_service_matches_nothing(to_service) -> None:
    assert to_service.only_set() == set()
    assert whole(to_service).ports


def test_a_destination_is_address_protocol_and_port(to_service) -> None:
    ports = (BackendPort(port=80), BackendPort(port=53, protocol="UDP"), BackendPort(name="any"))
    to_service.go(slice_of("web", "10.0.0.1", "10.0.0.2", ports=ports))
    assert to_service.only_set() == {"10.0.0.1,6:80", "10.0.0.1,17:53", "10.0.0.2,6:80", "10.0.0.2,17:53"}


def test_a_source_is_an_address_whatever_the_ports(from_service) -> None:
    from_service.go(slice_of("web", "10.0.0.1", ports=()), slice_of("web", "fd00::1", name="s2", address_type="IPv6"))
    assert from_service.only_set() == {"10.0.0.1", "fd00::1"}
    assert not whole(from_service).ports


def test_a_backend_counts_ready_or_not(to_service) -> None:
    conditions = EndpointConditions(ready=False, serving=False, terminating=True)
    backend = Backend(addresses=("10.0.0.1",), conditions=conditions)
    to_service.go(
        EndpointSlice(
            metadata=Metadata(name="s", namespace="shop", labels={SERVICE_LABEL: "web"}),
            address_type="IPv4",
            endpoints=(backend,),
            ports=(BackendPort(port=80),),
        )
    )
    assert to_service.only_set() == {"10.0.0.1,6:80"}


def test_only_slices_of_the_service_and_its_namespace_count(to_service) -> None:
    to_service.go(
        slice_of("web", "10.0.0.1", namespace="other"),
        slice_of("db", "10.0.0.2"),
        slice_of("", "10.0.0.3", name="s2"),
        slice_of("web", "web.example", name="s3", address_type="FQDN"),
    )
    assert to_service.only_set() == set()


def test_a_rule_may_name_another_namespace(make, world) -> None:
    rule = make.allow(destination=make.Entity(services=ServiceMatch(name="web", namespace="other")))
    world.go(
        make.endpoint("client", "10.0.0.9"),
        make.global_policy("p", types=("Egress",), egress=(rule,)),
        slice_of("web", "10.0.0.1", namespace="other"),
    )
    assert world.only_set() == {"10.0.0.1,6:80"}


def test_what_two_slices_hold_stays_until_both_let_go(to_service) -> None:
    one, two = slice_of("web", "10.0.0.1", "10.0.0.2"), slice_of("web", "10.0.0.2", name="s2")
    to_service.go(one, two)
    to_service.remove(one)
    (change,) = to_service.flush().set_changes
    assert len(change.removed.ports4) == 7
    assert to_service.only_set() == {"10.0.0.2,6:80"}
    to_service.remove(two)
    to_service.flush()
    assert to_service.only_set() == set()


def test_an_address_that_moves_between_slices_is_not_told(to_service) -> None:
    one, two = slice_of("web", "10.0.0.1"), slice_of("web", "10.0.0.2", name="s2")
    to_service.go(one, two)
    assert to_service.go(slice_of("web", "10.0.0.2"), slice_of("web", "10.0.0.1", name="s2")) == Delta()


def test_a_slice_that_changes_its_service_leaves_the_old_one(to_service) -> None:
    to_service.go(slice_of("web", "10.0.0.1"))
    to_service.go(slice_of("db", "10.0.0.1"))
    assert to_service.only_set() == set()


def test_a_slice_that_cannot_be_read_counts_as_absent_and_is_told(to_service) -> None:
    to_service.go(slice_of("web", "10.0.0.1"))
    broken = slice_of("web", "10.0.0.1", "nonsense")
    to_service.go(broken)
    assert to_service.only_set() == set()
    assert list(to_service.calculation.problems.current) == [broken.key]
    to_service.go(slice_of("web", "10.0.0.1"))
    assert to_service.only_set() == {"10.0.0.1,6:80"}
    assert not to_service.calculation.problems.current


@pytest.mark.parametrize("port", [BackendPort(port=70_000), BackendPort(port=0), BackendPort(port=1, protocol="x")])
def test_a_port_that_cannot_be_is_told(to_service, port: BackendPort) -> None:
    to_service.go(slice_of("web", "10.0.0.1", ports=(port,)))
    assert to_service.only_set() == set()
    assert "is none" in next(iter(to_service.calculation.problems.current.values()))


def test_a_change_touches_only_sets_of_its_service(make, to_service) -> None:
    rule = make.allow(destination=make.Entity(services=ServiceMatch(name="db")))
    to_service.go(make.policy("q", types=("Egress",), egress=(rule,)), slice_of("db", "10.0.0.5", name="db"))
    delta = to_service.go(slice_of("web", "10.0.0.1"))
    (change,) = delta.set_changes
    assert delta == Delta(set_changes=(change,))
    assert to_service.go(slice_of("web", "10.0.0.1")) == Delta()
    assert to_service.go(slice_of("unused", "10.0.0.1", name="s9")) == Delta()


def test_slices_that_came_before_the_rule_are_found(make, world) -> None:
    world.go(slice_of("web", "10.0.0.1"))
    rule = make.allow(destination=make.Entity(services=ServiceMatch(name="web")))
    world.go(make.endpoint("client", "10.0.0.9"), make.policy("p", types=("Egress",), egress=(rule,)))
    assert world.only_set() == {"10.0.0.1,6:80"}


PORTS = st.sampled_from([BackendPort(port=80), BackendPort(port=53, protocol="UDP")])
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"]
SLICES = st.builds(
    lambda service, addresses, name, ports: slice_of(service, *addresses, name=name, ports=ports),
    st.sampled_from(["web", "web", "db", ""]),
    st.lists(st.sampled_from(ADDRESSES), max_size=3),
    st.sampled_from(["s1", "s2", "s3"]),
    st.lists(PORTS, max_size=2).map(tuple),
)


@given(st.lists(st.lists(st.tuples(SLICES, st.booleans()), max_size=4), max_size=6), st.randoms())
@settings(max_examples=settings.default.max_examples * 2)
def test_any_history_of_slices_ends_like_a_fresh_start(make, new_world, history, order: random.Random) -> None:
    def services(way: str, entity: str):
        return {way: tuple(make.allow(**{entity: make.Entity(services=ServiceMatch(name=n))}) for n in ("web", "db"))}

    policy = make.policy("p", types=(), **services("egress", "destination"), **services("ingress", "source"))
    world, contents = new_world(), {}
    world.go(make.endpoint("client", "10.0.0.9"), policy)
    for group in history:
        for slice, there in group:
            world.calculation.update(slice.key, slice if there else None)
            contents[slice.key] = slice if there else None
        world.flush()
    fresh = new_world()
    fresh.put(make.endpoint("client", "10.0.0.9"), policy)
    for key, value in order.sample(sorted(contents.items(), key=lambda item: item[0]), len(contents)):
        fresh.calculation.update(key, value)
    fresh.flush()
    assert world.state == fresh.state


@given(st.lists(st.sampled_from(["1.0.0.1", "0.0.1.0", "0.1.0.0", "1.1.1.1", "::1", "100::"])), st.sets(PORTS))
def test_a_slice_knows_exactly_its_members(addresses: list[str], ports: set[BackendPort]) -> None:
    """Packed addresses lie side by side, and what crosses a border is none."""
    contents = _contents(slice_of("web", *addresses, ports=tuple(ports), address_type=""))
    asked = _contents(
        slice_of("web", "1.0.0.1", "0.0.1.0", "0.0.0.1", "1.1.0.0", "::1", "::", "::100", address_type="")
    )
    for whole in (True, False):
        members = set(contents.members(whole))
        assert {member for member in {*asked.members(whole), *members} if contents.has(member, whole)} == members


@given(
    st.lists(st.text(max_size=5) | st.sampled_from(["10.0.0.1", "fe80::1%eth0", "10.0.0.0/8", "10.0.0.1/32"])),
    st.lists(st.builds(BackendPort, port=st.integers(), protocol=st.text(max_size=4))).map(tuple),
)
def test_whatever_others_stored_does_no_harm(make, new_world, addresses: list[str], ports) -> None:
    rule = make.allow(destination=make.Entity(services=ServiceMatch(name="web")))
    world = new_world()
    world.go(make.endpoint("client", "10.0.0.9"), make.policy("p", types=("Egress",), egress=(rule,)))
    world.go(slice_of("web", *addresses, ports=ports, address_type=""))
