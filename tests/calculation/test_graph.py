"""What the calculation gives for what it is told, one behaviour at a time."""

from __future__ import annotations

from tortie.base.addresses import Cidr
from tortie.calculation.graph import Calculation
from tortie.desired.cluster import ClusterRoute, Kinds
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, TierPolicies
from tortie.desired.routes import Route


def ingress(world, name: str) -> list[str]:
    """Names of the policies that govern what an endpoint receives, in order."""
    endpoint = world.state.endpoints[EndpointId("shop", name)]
    return [policy.name for tier in endpoint.ingress.tiers for policy in tier.policies]


def profile_policy(name: str) -> PolicyId:
    return PolicyId("Profile", "", name)


# Endpoints, profiles and routes


def test_nothing_is_told_before_everything_is_known(make) -> None:
    calculation = Calculation("here")
    web = make.endpoint("web", "10.0.0.1")
    calculation.update(web.key, web)
    assert calculation.flush() == Delta()
    calculation.set_in_sync()
    assert calculation.flush().endpoints


def test_an_endpoint_without_policies_has_its_profiles_and_routes(make, world) -> None:
    delta = world.go(
        make.endpoint("web", "10.0.0.1", "fd00::1", mac="02:00:00:00:00:01"),
        make.profile(ingress=(make.allow(),), egress=(make.deny(),)),
    )
    both = PolicyList(profiles=(profile_policy("kns.shop"),))
    assert delta == Delta(
        policies=(Policy(profile_policy("kns.shop"), "", (Rule(Action.ALLOW, 0),), (Rule(Action.DENY, 0),)),),
        endpoints=(
            Endpoint(
                id=EndpointId("shop", "web"),
                interface="caliweb",
                addresses=(Cidr.host("10.0.0.1"), Cidr.host("fd00::1")),
                ingress=both,
                egress=both,
                mac="02:00:00:00:00:01",
            ),
        ),
        routes=(Route(Cidr.host("10.0.0.1"), "caliweb"), Route(Cidr.host("fd00::1"), "caliweb")),
        cluster_routes=tuple(
            ClusterRoute(Cidr.host(text), Kinds.LOCAL_WORKLOAD, node="here", attached=True)
            for text in ("10.0.0.1", "fd00::1")
        ),
    )


def test_a_missing_profile_allows_nothing(make, world) -> None:
    world.go(make.endpoint("web", "10.0.0.1", profiles=("gone",)))
    assert world.state.policies == {profile_policy("gone"): Policy(profile_policy("gone"), "")}


def test_the_built_in_profile_is_always_known_and_cannot_be_changed(make, world) -> None:
    name = "projectcalico-default-allow"
    world.go(make.endpoint("web", "10.0.0.1", profiles=(name,)), make.profile(name, ingress=(make.deny(),)))
    allow = (Rule(Action.ALLOW, 0),)
    assert world.state.policies == {profile_policy(name): Policy(profile_policy(name), "", allow, allow)}


def test_endpoints_of_other_nodes_are_not_programmed(make, world) -> None:
    assert world.go(make.endpoint("web", "10.0.0.1", node="there")) == Delta()
    world.go(make.endpoint("web", "10.0.0.1"))
    assert world.state.endpoints
    delta = world.go(make.endpoint("web", "10.0.0.1", node="there"))
    assert delta.removed_endpoints and delta.removed_policies and delta.removed_routes


def test_an_endpoint_without_an_interface_counts_as_absent(make, world) -> None:
    world.go(make.endpoint("web", "10.0.0.1"))
    bad = make.endpoint("web", "10.0.0.1", interface_name="")
    assert world.go(bad).removed_endpoints == (EndpointId("shop", "web"),)
    assert "interface" in world.calculation.problems.current[bad.key]


def test_an_endpoint_that_claims_an_interface_of_the_host_counts_as_absent(make) -> None:
    calculation = Calculation("here", is_of_host={"eth0"}.__contains__)
    calculation.set_in_sync()
    good, bad = (make.endpoint("web", "10.0.0.1", interface_name=name) for name in ("cali1", "eth0"))
    calculation.update(good.key, good)
    assert [one.interface for one in calculation.flush().endpoints] == ["cali1"]
    calculation.update(bad.key, bad)
    assert calculation.flush().removed_endpoints
    assert "interface eth0 has addresses of the host" in calculation.problems.current[bad.key]
    elsewhere = make.endpoint("b", "10.0.0.3", interface_name="eth0", node="there")
    calculation.update(elsewhere.key, elsewhere)
    assert elsewhere.key not in calculation.problems.current


def test_of_two_endpoints_on_one_interface_the_lowest_is_programmed_and_the_other_revives(make, world) -> None:
    first = make.endpoint("a", "10.0.0.1", interface_name="cali0")
    second = make.endpoint("b", "10.0.0.2", interface_name="cali0", labels={"app": "b"})
    world.put(make.policy("only-b", "app == 'b'"))
    world.go(second, first)
    assert set(world.state.endpoints) == {EndpointId("shop", "a")}
    assert not world.state.policies.keys() - {profile_policy("kns.shop")}
    world.remove(first)
    world.flush()
    assert ingress(world, "b") == ["only-b"]
    assert set(world.state.routes) == {Cidr.host("10.0.0.2")}


def test_of_two_endpoints_with_one_address_the_lowest_gets_the_route(make, world) -> None:
    world.go(make.endpoint("b", "10.0.0.1"), make.endpoint("a", "10.0.0.1"))
    assert world.state.routes[Cidr.host("10.0.0.1")].interface == "calia"
    world.remove(make.endpoint("a"))
    assert world.flush().routes == (Route(Cidr.host("10.0.0.1"), "calib"),)


def test_an_endpoint_without_addresses_still_has_policies(make, world) -> None:
    world.go(make.endpoint("web"), make.policy("all"))
    assert ingress(world, "web") == ["all"]


# Which policies are active


def test_only_policies_that_select_a_local_endpoint_are_compiled(make, world) -> None:
    world.go(
        make.endpoint("web", "10.0.0.1", labels={"app": "web"}),
        make.endpoint("far", "10.0.0.2", labels={"app": "far"}, node="there"),
        make.policy("web", "app == 'web'"),
        make.policy("far", "app == 'far'", ingress=(make.allow(source=make.Entity(selector="all()")),)),
        make.policy("elsewhere", namespace="other"),
    )
    assert ingress(world, "web") == ["web"]
    assert {policy.name for policy in world.state.policies} == {"web", "kns.shop"}
    assert not world.state.sets
    world.go(make.endpoint("web", "10.0.0.1", labels={"app": "far"}))
    assert ingress(world, "web") == ["far"]
    assert len(world.state.sets) == 1


def test_a_policy_is_removed_after_the_endpoint_that_used_it(make, world) -> None:
    web, policy = make.endpoint("web", "10.0.0.1"), make.policy("all")
    world.go(web, policy)
    world.remove(web)
    delta = world.flush()
    assert delta.removed_endpoints == (EndpointId("shop", "web"),)
    assert PolicyId("NetworkPolicy", "shop", "all") in delta.removed_policies


def test_policies_select_by_inherited_labels_and_own_labels_win(make, world) -> None:
    world.go(
        make.profile(labels={"team": "red"}),
        make.profile("second", labels={"team": "green", "zone": "z"}),
        make.endpoint("heir", "10.0.0.1", profiles=("kns.shop", "second")),
        make.endpoint("own", "10.0.0.2", labels={"team": "blue"}),
        make.policy("red", "team == 'red'"),
        make.policy("blue", "team == 'blue'"),
        make.policy("green", "team == 'green'"),
        make.policy("zone", "has(zone)"),
    )
    assert ingress(world, "heir") == ["red", "zone"]
    assert ingress(world, "own") == ["blue"]
    world.go(make.profile(labels={}))
    assert ingress(world, "heir") == ["green", "zone"]
    assert ingress(world, "own") == ["blue"]


def test_a_change_of_order_alone_programs_endpoints_but_no_policy(make, world) -> None:
    world.go(make.endpoint("web", "10.0.0.1"), make.policy("a", order=1), make.policy("b", order=2))
    assert ingress(world, "web") == ["a", "b"]
    delta = world.go(make.policy("a", order=3))
    assert ingress(world, "web") == ["b", "a"]
    assert not delta.policies and len(delta.endpoints) == 1


def test_a_tier_change_reorders_all_endpoints(make, world) -> None:
    web = make.endpoint("web", "10.0.0.1")
    world.go(web, make.policy("a", tier="one"), make.policy("b", tier="two"), make.tier("one", 1), make.tier("two", 2))
    assert ingress(world, "web") == ["a", "b"]
    world.go(make.tier("one", 3, "Pass"))
    assert ingress(world, "web") == ["b", "a"]
    (_, last) = world.state.endpoints[EndpointId("shop", "web")].ingress.tiers
    assert last == TierPolicies("one", (PolicyId("NetworkPolicy", "shop", "a"),), Action.PASS)


def test_policies_for_host_interfaces_only_select_no_workload(make, world) -> None:
    world.go(
        make.endpoint("web", "10.0.0.1"),
        make.global_policy("untracked", do_not_track=True, apply_on_forward=True),
        make.global_policy("before-nat", pre_dnat=True, apply_on_forward=True),
    )
    assert ingress(world, "web") == []


def test_a_policy_that_cannot_be_read_counts_as_absent(make, world) -> None:
    world.go(make.endpoint("web", "10.0.0.1"), make.policy("a"), make.policy("b", "((("))
    assert ingress(world, "web") == ["a"]
    bad = make.policy("a", ingress=(make.allow(source=make.Entity(nets=("nonsense",))),))
    world.go(bad)
    assert ingress(world, "web") == []
    assert bad.key in world.calculation.problems.current
    world.go(make.policy("a"))
    assert ingress(world, "web") == ["a"]
    assert bad.key not in world.calculation.problems.current


# Sets


def allow_from(make, selector: str, **entity: object):
    return make.policy("from", ingress=(make.allow(source=make.Entity(selector=selector, **entity)),))


def test_a_set_holds_every_endpoint_and_network_set_of_the_cluster_that_is_selected(make, world) -> None:
    world.go(
        make.endpoint("web", "10.0.0.1"),
        make.endpoint("near", "10.0.0.2", "fd00::2", labels={"app": "db"}),
        make.endpoint("far", "10.0.0.3", labels={"app": "db"}, node="there"),
        make.endpoint("other", "10.0.0.4", labels={"app": "db"}, namespace="other"),
        make.network_set("nets", "192.0.2.0/24", "192.0.2.9/32", "fd09::/64", labels={"app": "db"}, namespace="shop"),
        make.network_set("global", "198.51.100.1", labels={"app": "db"}),
        allow_from(make, "app == 'db'"),
    )
    expected = {"10.0.0.2", "fd00::2", "10.0.0.3", "192.0.2.0/24", "192.0.2.9", "fd09::/64"}
    assert world.only_set() == expected


def test_an_address_that_two_endpoints_share_leaves_with_the_last(make, world) -> None:
    one = make.endpoint("one", "10.0.0.9", labels={"app": "db"}, node="there")
    two = make.endpoint("two", "10.0.0.9", labels={"app": "db"}, node="there")
    assert len(world.go(make.endpoint("web"), one, allow_from(make, "app == 'db'")).sets) == 1
    assert not world.go(two).set_changes
    world.remove(one)
    assert not world.flush().set_changes
    world.remove(two)
    (change,) = world.flush().set_changes
    assert change.removed.hosts4 == bytes([10, 0, 0, 9])


def test_an_address_that_moves_between_endpoints_is_not_mentioned(make, world) -> None:
    one = make.endpoint("one", "10.0.0.9", labels={"app": "db"}, node="there")
    world.go(make.endpoint("web"), one, allow_from(make, "app == 'db'"))
    world.remove(one)
    assert world.go(make.endpoint("two", "10.0.0.9", labels={"app": "db"}, node="there")) == Delta()


def test_a_new_set_comes_before_the_old_one_goes(make, world) -> None:
    world.go(make.endpoint("web"), allow_from(make, "app == 'a'"))
    delta = world.go(allow_from(make, "app == 'b'"))
    assert len(delta.sets) == len(delta.removed_sets) == 1
    assert delta.sets[0].id != delta.removed_sets[0]


def test_policies_share_the_set_of_one_selector_however_it_is_spelt(make, world) -> None:
    world.go(
        make.endpoint("web"),
        make.global_policy("a", ingress=(make.allow(source=make.Entity(selector="a == 'b'")),)),
        make.global_policy("b", ingress=(make.deny(source=make.Entity(selector='a=="b"')),)),
    )
    assert len(world.state.sets) == 1
    world.remove(make.global_policy("a"))
    assert not world.flush().removed_sets
    world.remove(make.global_policy("b"))
    assert world.flush().removed_sets


def test_a_named_port_set_holds_address_protocol_and_port_of_those_selected(make, world) -> None:
    http = (make.Port(name="http", protocol="TCP", port=8080), make.Port(name="http", protocol="UDP", port=1))
    db = make.endpoint("db", "10.0.0.2", "fd00::2", labels={"app": "db"}, ports=http)
    to = make.Entity(selector="app == 'db'", ports=("http",))
    policy = make.policy("to", types=("Egress",), egress=(make.allow(protocol="TCP", destination=to),))
    world.go(make.endpoint("web", "10.0.0.1", ports=http), db, policy)
    assert world.only_set() == {"10.0.0.2,6:8080", "fd00::2,6:8080"}
    world.go(make.endpoint("db", "10.0.0.2", labels={"app": "db"}, ports=http[1:]))
    assert world.only_set() == set()


def test_a_named_port_without_a_protocol_is_that_of_the_port_itself(make, world) -> None:
    dns = (make.Port(name="dns", protocol="TCP", port=53), make.Port(name="dns", protocol="UDP", port=53))
    to = make.Entity(ports=("dns",))
    policy = make.policy("to", types=("Egress",), egress=(make.allow(destination=to),))
    world.go(make.endpoint("web", "10.0.0.1", ports=dns), policy)
    assert world.only_set() == {"10.0.0.1,6:53", "10.0.0.1,17:53"}


def test_numbers_and_names_are_alternatives_and_both_need_the_selector(make, world) -> None:
    to = make.Entity(selector="app == 'db'", ports=("dns", "80:90"))
    world.go(
        make.endpoint("web"),
        make.policy("to", types=("Egress",), egress=(make.allow(protocol=17, destination=to),)),
    )
    (rule,) = world.state.policies[PolicyId("NetworkPolicy", "shop", "to")].egress
    side = rule.destination
    assert side.ports == (PortRange(80, 90),)
    assert [set_id[0] for set_id in (*side.sets, *side.port_sets)] == ["s", "n"]


def test_a_service_matches_nothing_yet(make, world) -> None:
    from tortie.api.rules import ServiceMatch

    service = ServiceMatch(name="db")
    world.go(
        make.endpoint("web"),
        make.policy(
            "to",
            types=("Ingress", "Egress"),
            ingress=(make.allow(source=make.Entity(services=service)),),
            egress=(make.allow(destination=make.Entity(services=service)),),
        ),
    )
    assert {whole.ports for whole in world.state.sets.values()} == {True, False}
    assert not any(whole.members for whole in world.state.sets.values())


# Work is proportional to the change


def crowd(make, count: int) -> list:
    return [
        make.endpoint(
            f"e{number}",
            f"10.{number >> 14 & 63}.{number >> 7 & 127}.{number & 127}",
            labels={"app": f"app{number % 100}"},
            node="there",
        )
        for number in range(count)
    ]


def work_of_one_change(make, world, count: int) -> tuple[int, int, int]:
    world.put(*crowd(make, count))
    for number in range(100):
        rule = make.allow(source=make.Entity(selector=f"app == 'app{number}'"))
        world.put(make.policy(f"p{number}", ingress=(rule,)))
    world.go(make.endpoint("web", "10.255.0.1", labels={"app": "web"}))
    before = world.calculation.work
    delta = world.go(make.endpoint("new", "10.255.0.2", labels={"app": "app7"}, node="there"))
    assert len(delta.set_changes) == 1
    after = world.calculation.work
    return (
        after.touched - before.touched,
        after.set_evaluations - before.set_evaluations,
        after.policy_evaluations - before.policy_evaluations,
    )


def test_one_remote_endpoint_costs_the_same_among_1_000_and_among_20_000(make, new_world) -> None:
    small = work_of_one_change(make, new_world(), 1_000)
    assert small == work_of_one_change(make, new_world(), 20_000)
    assert small == (1, 1, 0), "one endpoint, the one selector of a set that wants its label, no policy"
