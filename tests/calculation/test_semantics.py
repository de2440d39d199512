"""What policy means, from resources as people write them to the fate of packets, where others have gone wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.endpointslice import SERVICE_LABEL, Backend, BackendPort, EndpointSlice
from tortie.api.resource import Metadata, Resource
from tortie.api.rules import HTTPMatch, Rule, ServiceAccountMatch, ServiceMatch
from tortie.api.stagedpolicy import StagedNetworkPolicy, StagedNetworkPolicySpec
from tortie.base.addresses import Cidr
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import Packet, evaluate
from tortie.convert.kubernetes import convert
from tortie.desired.endpoints import EndpointId
from tortie.desired.policy import Action, Direction

HERE, OUTSIDE = "10.0.0.1", "203.0.113.9"


class Shop:
    """Endpoint `a` of namespace `shop`, at 10.0.0.1; whatever no policy governs its profile allows."""

    def __init__(self, make: Any, world: Any) -> None:
        self.world = world
        everything = (Rule(action="Allow"),)
        world.put(make.profile(labels={"pcns.team": "x"}, ingress=everything, egress=everything))
        world.go(make.endpoint("a", HERE))

    def _allows(self, way: Direction, source: str, destination: str, port: int, protocol: int) -> bool:
        state = self.world.state
        endpoint = state.endpoints[EndpointId("shop", "a")]
        policies = endpoint.ingress if way is Direction.INGRESS else endpoint.egress
        ends = Cidr.host(source), Cidr.host(destination)
        packet = Packet(ends[0].family, protocol, ends[0].address, ends[1].address, 40000, port)
        return evaluate(policies, way, packet, state.policies, SetIndex(state.sets.values())).action is Action.ALLOW

    def hears(self, source: str, port: int = 80, protocol: int = 6) -> bool:
        """Whether a packet of this source is let in."""
        return self._allows(Direction.INGRESS, source, HERE, port, protocol)

    def sends(self, destination: str, port: int = 80, protocol: int = 6) -> bool:
        """Whether a packet to this destination is let out."""
        return self._allows(Direction.EGRESS, HERE, destination, port, protocol)


@pytest.fixture
def shop(make: Any, world: Any) -> Shop:
    return Shop(make, world)


# Selectors and labels


def test_not_selector_is_passed_by_the_unknown_and_a_negated_selector_is_not(make: Any, shop: Shop) -> None:
    for side, unknown in (({"not_selector": "bad == 'yes'"}, True), ({"selector": "bad != 'yes'"}, False)):
        rule = make.allow(source=make.Entity(**side))
        shop.world.go(
            make.endpoint("good", "10.0.0.2", namespace="shop"),
            make.endpoint("bad", "10.0.0.3", namespace="shop", labels={"bad": "yes"}),
            make.global_policy("p", ingress=(rule,)),
        )
        assert (shop.hears("10.0.0.2"), shop.hears("10.0.0.3"), shop.hears(OUTSIDE)) == (True, False, unknown)


def test_in_a_namespace_not_selector_keeps_others_out_and_prefixes_alone_do_not(make: Any, shop: Shop) -> None:
    shop.world.go(
        make.endpoint("b", "10.0.0.2", namespace="shop"),
        make.endpoint("c", "10.0.0.3", namespace="other"),
        make.policy("p", ingress=(make.allow(source=make.Entity(not_selector="bad == 'yes'")),)),
    )
    assert (shop.hears("10.0.0.2"), shop.hears("10.0.0.3"), shop.hears(OUTSIDE)) == (True, False, False)
    shop.world.go(make.policy("p", ingress=(make.allow(source=make.Entity(nets=("0.0.0.0/0",), ports=(40000,))),)))
    assert all(map(shop.hears, ("10.0.0.2", "10.0.0.3", OUTSIDE)))


def test_all_in_a_selector_of_namespaces_is_everything_that_is_in_one(make: Any, shop: Shop) -> None:
    sets = make.network_set("everywhere", "10.0.0.7/32", labels={}), make.host("h", "10.0.0.8", interface_name="eth0")
    shop.world.go(make.endpoint("c", "10.0.0.3", namespace="other"), *sets)
    for where, known in (("all()", (True, False, False)), ("global()", (False, True, True))):
        rule = make.allow(source=make.Entity(namespace_selector=where))
        shop.world.go(make.global_policy("p", ingress=(rule,)))
        assert tuple(map(shop.hears, ("10.0.0.3", "10.0.0.7", "10.0.0.8"))) == known
    shop.world.go(make.global_policy("p", "all()", namespace_selector="all()"))
    assert not shop.hears(OUTSIDE)
    assert not shop.world.state.host_endpoints["h"].ingress.tiers


def test_own_labels_win_over_the_first_profile_and_it_over_later_ones(make: Any, shop: Shop) -> None:
    first = make.profile("first", labels={"a": "first", "b": "first"})
    second = make.profile("second", labels={"b": "second", "c": "second"})
    other = make.endpoint("b", "10.0.0.2", labels={"a": "own"}, profiles=("gone", "first", "second"))
    for selector, found in (("a == 'own'", True), ("b == 'first'", True), ("c == 'second'", True), ("has(d)", False)):
        rule = make.allow(source=make.Entity(selector=selector))
        shop.world.go(first, second, other, make.policy("p", ingress=(rule,)))
        assert shop.hears("10.0.0.2") is found


def test_a_profile_that_is_missing_blocks_what_no_other_allows(make: Any, shop: Shop) -> None:
    shop.world.go(make.endpoint("a", HERE, profiles=("gone",)))
    assert not shop.hears(OUTSIDE)
    shop.world.go(make.endpoint("a", HERE, profiles=("gone", "kns.shop")))
    assert shop.hears(OUTSIDE)


@pytest.mark.parametrize(("length", "by_name"), [(62, True), (63, False)])
def test_a_long_service_account_is_not_found_by_name_but_by_its_label(
    make: Any, shop: Shop, length: int, by_name: bool
) -> None:
    account = "s" * length
    profile = f"ksa.shop.{account}"
    shop.world.go(
        make.profile(profile, labels={"pcsa.projectcalico.org/name": account}),
        make.endpoint("b", "10.0.0.2", service_account_name=account, profiles=("kns.shop", profile)),
    )
    by_label = ServiceAccountMatch(selector=f"projectcalico.org/name == '{account}'")
    for match, found in ((ServiceAccountMatch(names=(account,)), by_name), (by_label, True)):
        rule = make.allow(source=make.Entity(service_accounts=match))
        shop.world.go(make.policy("p", ingress=(rule,)))
        assert shop.hears("10.0.0.2") is found


def _kubernetes(kind: str, version: str, spec: dict[str, Any]) -> Resource:
    metadata = {"name": "k", "namespace": "shop"} if kind == "NetworkPolicy" else {"name": "k"}
    return convert({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).resource


@pytest.mark.parametrize("selector", ["", "all()"])
def test_a_global_policy_governs_hosts_and_workloads_of_every_orchestrator(
    make: Any, shop: Shop, selector: str
) -> None:
    shop.world.go(make.host("h", interface_name="eth0"), make.global_policy("p", selector))
    assert shop.world.state.host_endpoints["h"].ingress.tiers
    assert not shop.hears(OUTSIDE)


def test_policies_of_kubernetes_govern_pods_only(make: Any, shop: Shop) -> None:
    everybody: dict[str, Any] = {"from": [{"namespaces": {}}], "action": "Deny"}
    wide = {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "ingress": [everybody]}
    shop.world.go(
        make.host("h", interface_name="eth0"),
        make.endpoint("pod", "10.0.0.2", orchestrator="k8s"),
        _kubernetes("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2", wide),
        _kubernetes("NetworkPolicy", "networking.k8s.io/v1", {"podSelector": {}}),
    )
    state = shop.world.state
    assert not state.host_endpoints["h"].ingress.tiers
    assert not state.endpoints[EndpointId("shop", "a")].ingress.tiers
    assert len(state.endpoints[EndpointId("shop", "pod")].ingress.tiers) == 2


def test_network_sets_have_the_labels_of_their_namespace_and_are_governed_by_nothing(make: Any, shop: Shop) -> None:
    rule = make.allow(source=make.Entity(namespace_selector="team == 'x'"))
    shop.world.go(
        make.network_set("s", "192.0.2.0/24", labels={"role": "set"}, namespace="shop"),
        make.network_set("t", "198.51.100.0/24", labels={"role": "set"}, namespace="other"),
        make.global_policy("p", ingress=(rule,)),
        make.global_policy("sets", "role == 'set'"),
    )
    assert (shop.hears("192.0.2.7"), shop.hears("198.51.100.7")) == (True, False)
    assert "sets" not in {policy.name for policy in shop.world.state.policies}


@pytest.mark.parametrize(
    ("label", "asked"),
    [
        ("pcns.team", {"namespace_selector": "team == 'x'"}),
        ("pcsa.team", {"service_accounts": ServiceAccountMatch(selector="team == 'x'")}),
        ("projectcalico.org/orchestrator", {"selector": "projectcalico.org/orchestrator == 'x'"}),
        ("projectcalico.org/serviceaccount", {"service_accounts": ServiceAccountMatch(names=("x",))}),
    ],
)
def test_a_network_set_of_a_namespace_cannot_choose_where_it_belongs(
    make: Any, shop: Shop, label: str, asked: dict[str, Any]
) -> None:
    """Who may write those of one namespace could else let addresses through that policy means for others."""
    rule = make.allow(source=make.Entity(**asked))
    shop.world.go(make.network_set("t", "198.51.100.0/24", labels={label: "x"}, namespace="other"))
    shop.world.go(make.global_policy("p", ingress=(rule,)))
    assert not shop.hears("198.51.100.7")


# Order and ends


def test_a_stored_policy_without_types_governs_both_directions(make: Any, shop: Shop) -> None:
    shop.world.go(make.policy("p", types=()))
    assert (shop.hears(OUTSIDE), shop.sends(OUTSIDE)) == (False, False)


def test_the_end_of_a_tier_counts_in_the_directions_of_its_policies_only(make: Any, shop: Shop) -> None:
    shop.world.go(make.tier("t", 1.0), make.policy("p", tier="t", types=("Ingress",)))
    assert (shop.hears(OUTSIDE), shop.sends(OUTSIDE)) == (False, True)


def test_the_end_of_a_tier_counts_for_those_whom_its_policies_select_only(make: Any, shop: Shop) -> None:
    shop.world.go(make.tier("t", 1.0), make.policy("p", "has(nobody)", tier="t"))
    assert shop.hears(OUTSIDE)


def test_a_tier_of_staged_policies_alone_has_no_end(make: Any, shop: Shop) -> None:
    staged = StagedNetworkPolicy(
        metadata=Metadata(name="s", namespace="shop"), spec=StagedNetworkPolicySpec(tier="t", types=("Ingress",))
    )
    shop.world.go(make.tier("t", 1.0), staged)
    assert shop.hears(OUTSIDE)
    shop.world.go(make.policy("p", tier="t", ingress=(make.allow(protocol="TCP"),)))
    assert (shop.hears(OUTSIDE), shop.hears(OUTSIDE, protocol=17)) == (True, False)


def test_policies_of_a_tier_that_does_not_exist_come_last_and_count(make: Any, shop: Shop) -> None:
    shop.world.go(make.policy("p", tier="gone", ingress=(make.deny(),)))
    assert not shop.hears(OUTSIDE)
    shop.world.go(make.tier("first", 1.0), make.policy("q", tier="first", ingress=(make.allow(protocol="TCP"),)))
    assert shop.hears(OUTSIDE)
    shop.world.go(make.tier("gone", 0.0))
    assert not shop.hears(OUTSIDE)


def test_at_equal_order_names_decide_whatever_the_kind(make: Any, shop: Shop) -> None:
    kubernetes = convert(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "m", "namespace": "shop"},
            "spec": {"podSelector": {}, "ingress": [{}]},
        }
    ).resource
    shop.world.go(
        make.endpoint("a", HERE, orchestrator="k8s"),
        make.global_policy("z", order=1000.0),
        make.policy("l", order=1000.0),
        make.global_policy("a", order=1000.0),
        make.global_policy("none"),
        kubernetes,
    )
    (tier,) = shop.world.state.endpoints[EndpointId("shop", "a")].ingress.tiers
    assert [policy.name for policy in tier.policies] == ["a", "knp.default.m", "l", "z", "none"]


# Matches


def test_a_clause_about_http_is_overlooked_here_and_the_rest_of_the_rule_counts(make: Any, shop: Shop) -> None:
    rule = make.allow(protocol="TCP", destination=make.Entity(ports=(80,)), http=HTTPMatch(methods=("GET",)))
    shop.world.go(make.policy("p", ingress=(rule,)))
    assert (shop.hears(OUTSIDE, 80), shop.hears(OUTSIDE, 81)) == (True, False)


def test_a_service_is_its_backends_on_their_ports_and_no_address_of_its_own(make: Any, shop: Shop) -> None:
    slice = EndpointSlice(
        metadata=Metadata(name="s", namespace="shop", labels={SERVICE_LABEL: "web"}),
        address_type="IPv4",
        endpoints=(Backend(addresses=("10.0.0.5",)),),
        ports=(BackendPort(port=8080),),
    )
    side = make.Entity(services=ServiceMatch(name="web"))
    rules = {"ingress": (make.allow(source=side),), "egress": (make.allow(destination=side),)}
    shop.world.go(slice, make.policy("p", types=("Ingress", "Egress"), **rules))
    assert (shop.sends("10.0.0.5", 8080), shop.sends("10.0.0.5", 80), shop.sends("10.96.0.1", 80)) == (
        *(True, False, False),
    )
    assert shop.hears("10.0.0.5", 1)


def test_a_named_port_that_nobody_has_matches_nothing_and_excludes_nothing(make: Any, shop: Shop) -> None:
    for field, allowed in (("ports", False), ("not_ports", True)):
        rule = make.allow(protocol="TCP", destination=make.Entity(**{field: ("unheard-of",)}))
        shop.world.go(make.policy("p", ingress=(rule,)))
        assert shop.hears(OUTSIDE) is allowed


@pytest.mark.parametrize(("family", "outside"), [(4, OUTSIDE), (6, "2001:db8::9")])
def test_a_rule_whose_prefixes_are_all_of_the_other_family_matches_nothing(
    make: Any, shop: Shop, family: int, outside: str
) -> None:
    shop.world.go(make.endpoint("a", HERE, "fd00::1"))
    nets = ("0.0.0.0/0",) if family == 6 else ("::/0",)
    for side in ({"nets": nets}, {"not_nets": nets}):
        shop.world.go(make.policy("p", ingress=(make.allow(source=make.Entity(**side)),)))
        assert not _hears_in(shop, outside)
    shop.world.go(make.policy("p", ingress=(make.allow(),)))
    assert _hears_in(shop, outside)


def _hears_in(shop: Shop, source: str) -> bool:
    return shop._allows(Direction.INGRESS, source, "fd00::1" if ":" in source else HERE, 80, 6)


def test_a_policy_that_becomes_unreadable_is_gone_and_does_not_stay_as_it_was(make: Any, shop: Shop) -> None:
    shop.world.go(make.policy("p", ingress=(make.allow(),)), make.policy("q", order=1.0, ingress=(make.deny(),)))
    assert not shop.hears(OUTSIDE)
    shop.world.go(make.policy("q", "(((", order=1.0, ingress=(make.deny(),)))
    assert shop.hears(OUTSIDE)
    assert shop.world.calculation.problems.current
