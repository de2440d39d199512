"""What a change of policy opens and closes, between whom, and by which rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.difference import changes
from tortie.analysis.wording import describe
from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec

ALLOW = (Rule(action="Allow"),)
OPEN = Profile(metadata=Metadata(name="kns.shop"), spec=ProfileSpec(ingress=ALLOW, egress=ALLOW))


def pod(name: str, address: str, **labels: str) -> Resource:
    spec = WorkloadEndpointSpec(
        orchestrator="k8s", node="n", interface_name="cali0", ip_networks=(address,), profiles=("kns.shop",)
    )
    return WorkloadEndpoint(metadata=Metadata(name=name, namespace="shop", labels=labels), spec=spec)


def policy(*ports: int, selector: str = "app == 'client'", nets: tuple[str, ...] = ()) -> Resource:
    rules = tuple(
        Rule(
            action="Allow",
            protocol="TCP",
            source=EntityRule(selector=selector, nets=nets),
            destination=EntityRule(ports=(port,)),
        )
        for port in ports
    )
    spec = NetworkPolicySpec(selector="app == 'web'", types=("Ingress",), ingress=rules)
    return NetworkPolicy(metadata=Metadata(name="web", namespace="shop"), spec=spec)


CLIENTS = [pod(f"client{number}", f"10.0.0.{number}", app="client", tier="front") for number in range(1, 4)]
BASE = [OPEN, *CLIENTS, pod("web", "10.0.1.1", app="web")]


def told(before: list[Resource], after: list[Resource]) -> list[tuple[str, str, str, str]]:
    found = changes(compile_cluster(before), compile_cluster(after))
    return [(one.source, one.destination, describe(one.opened), describe(one.closed)) for one in found]


def test_what_is_opened_and_closed_is_told_by_labels() -> None:
    assert told([*BASE, policy(80, 81)], [*BASE, policy(80, 443)]) == [
        ("shop: app=client, tier=front (3)", "shop/web", "IPv4: TCP 443", "IPv4: TCP 81")
    ]


def test_the_rules_that_do_it_are_named() -> None:
    (found,) = changes(compile_cluster([*BASE, policy(80)]), compile_cluster([*BASE, policy(80, 443)]))
    assert found.reasons == ("ingress: Allow by NetworkPolicy shop/web rule 1 (was: Deny by end of tier default)",)


def test_addresses_outside_are_told_by_their_range() -> None:
    after = [*BASE, policy(80, selector="", nets=("192.0.2.0/24",))]
    found = told([*BASE, policy(80, selector="app == 'none'")], after)
    assert found == [("outside 192.0.2.0-192.0.2.255", "shop/web", "IPv4: TCP 80", "nothing")]


def test_what_comes_and_goes_counts() -> None:
    found = told(BASE, BASE[:-1])
    assert all(opened == "nothing" for _, _, opened, _ in found)
    assert {source for source, *_ in found} == {"shop: app=client, tier=front (3)", "shop/web"} | {
        source for source, *_ in found if source.startswith("outside")
    }


@given(st.permutations([*BASE, policy(80)]))
def test_the_same_in_another_order_is_no_change(order: list[Resource]) -> None:
    assert told([*BASE, policy(80)], order) == []
