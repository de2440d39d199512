"""Host endpoints of this node: which policies govern which of their lists, and what they give to sets."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.desired.hosts import HostEndpoint, Place, guardians
from tortie.desired.policy import Action, PolicyId

NORMAL = {"types": ("Ingress", "Egress")}


@pytest.fixture
def guard(make: Any, world: Any) -> Any:
    """Puts policies, a tier and a host endpoint; returns what the calculation says of it."""

    def put(*resources: Any, **spec: object) -> HostEndpoint:
        spec.setdefault("interface_name", "eth0")
        world.go(make.tier("t", 1.0), make.host("h", "10.0.0.1", labels={"role": "gate"}, **spec), *resources)
        return world.state.host_endpoints["h"]

    return put


def listed(host: HostEndpoint) -> dict[str, list[str]]:
    lists = {place: host.policies(place) for place in Place}
    named = {place.value: [one.name for tier in each.tiers for one in tier.policies] for place, each in lists.items()}
    return {place: names for place, names in named.items() if names}


def test_a_policy_governs_the_host_and_what_it_forwards_only_when_it_says_so(make: Any, guard: Any) -> None:
    plain, forward = (
        make.global_policy(name, "role == 'gate'", apply_on_forward=name == "forward", **NORMAL)
        for name in ("plain", "forward")
    )
    assert listed(guard(plain, forward)) == {
        "host-in": ["forward", "plain"],
        "host-out": ["forward", "plain"],
        "forward-in": ["forward"],
        "forward-out": ["forward"],
    }


def test_a_policy_of_an_early_stage_governs_nothing_else(make: Any, guard: Any) -> None:
    early = {"apply_on_forward": True, **NORMAL}
    raw = make.global_policy("raw", do_not_track=True, **early)
    before = make.global_policy("before", pre_dnat=True, **early)
    assert listed(guard(raw, before)) == {"untracked-in": ["raw"], "untracked-out": ["raw"], "pre-dnat": ["before"]}


def test_tiers_of_early_stages_go_on_where_others_deny(make: Any, guard: Any) -> None:
    host = guard(
        make.global_policy("raw", tier="t", do_not_track=True, apply_on_forward=True),
        make.global_policy("before", tier="t", pre_dnat=True, apply_on_forward=True),
        make.global_policy("plain", tier="t", apply_on_forward=True),
    )
    ends = [host.policies(place).tiers[0].default_action for place in Place if host.policies(place).tiers]
    assert ends == [Action.PASS, Action.PASS, Action.DENY, Action.DENY]


def test_profiles_count_for_the_host_only(make: Any, guard: Any, world: Any) -> None:
    host = guard(profiles=("p", "p", "gone"), interface_name="*")
    profiles = (PolicyId("Profile", "", "p"), PolicyId("Profile", "", "gone"))
    assert [place for place in Place if host.policies(place).profiles] == [Place.INGRESS, Place.EGRESS]
    assert host.ingress.profiles == profiles
    assert set(world.state.policies) == set(profiles)


def test_no_wildcard_is_governed_without_tracking(make: Any, guard: Any, world: Any) -> None:
    raw = make.global_policy("raw", do_not_track=True, apply_on_forward=True)
    assert listed(guard(raw, interface_name="*")) == {}
    assert not world.state.policies
    assert listed(guard(interface_name="eth0")) == {"untracked-in": ["raw"]}
    assert listed(guard(interface_name="*")) == {}


def test_no_policy_of_a_namespace_governs_a_host(make: Any, guard: Any, world: Any) -> None:
    assert listed(guard(make.policy("np", "all()"))) == {}
    world.go(make.host("h", interface_name="eth0", labels={"projectcalico.org/namespace": "shop"}))
    assert not listed(world.state.host_endpoints["h"])


def test_workloads_are_not_governed_by_policies_of_early_stages(make: Any, world: Any) -> None:
    world.go(
        make.endpoint("a", "10.0.0.1"),
        make.global_policy("raw", do_not_track=True, apply_on_forward=True),
        make.global_policy("before", pre_dnat=True, apply_on_forward=True),
    )
    assert {one.kind for one in world.state.policies} == {"Profile"}


def test_host_endpoints_of_every_node_are_members_by_their_expected_addresses(make: Any, world: Any) -> None:
    world.go(
        make.endpoint("a", "10.0.0.9"),
        make.host("here", "10.0.0.1", "fd00::1", labels={"role": "gate"}, interface_name="eth0"),
        make.host("there", "10.0.0.2", labels={"role": "gate"}, node="there"),
        make.policy(
            "np", ingress=(make.allow(source=make.Entity(selector="role == 'gate'", namespace_selector="global()")),)
        ),
    )
    assert list(world.state.host_endpoints) == ["here"]
    assert world.only_set() == {"10.0.0.1", "fd00::1", "10.0.0.2"}


def test_what_cannot_be_found_is_a_problem(make: Any, world: Any) -> None:
    world.go(make.host("h"))
    assert not world.state.host_endpoints
    assert "without an interface" in next(iter(world.calculation.problems.current.values()))


def test_a_name_excludes_a_search_by_address(make: Any, world: Any) -> None:
    world.go(make.host("named", "10.0.0.1", interface_name="eth9"), make.host("found", "10.0.0.1"))
    addresses = world.state.host_endpoints["found"].expected
    found = guardians(world.state.host_endpoints.values(), {"eth0": addresses})
    assert {name: one.name for name, one in found.by_interface.items()} == {"eth9": "named", "eth0": "found"}


def test_of_several_for_one_interface_the_first_by_name_guards_it(make: Any, world: Any) -> None:
    world.go(
        make.host("b", interface_name="eth0"),
        make.host("a", "10.0.0.1"),
        make.host("z", interface_name="*"),
        make.host("y", interface_name="*"),
    )
    endpoints = world.state.host_endpoints
    alone = guardians(endpoints.values(), {})
    assert (alone.of("eth0"), alone.of("eth1"), alone.of("lo")) == (endpoints["b"], endpoints["y"], None)
    assert guardians(endpoints.values(), {"eth0": set(endpoints["a"].expected)}).of("eth0") == endpoints["a"]
