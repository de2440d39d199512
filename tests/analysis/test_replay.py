"""Flow records under other policy: each is judged as its packet would be; what cannot be judged is said so."""

from __future__ import annotations

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.flowrecords import FlowRecord, Peer
from tortie.analysis.replay import Outcome, replay
from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.desired.policy import Action

ALLOW = (Rule(action="Allow"),)


def pod(name: str, *addresses: str) -> Resource:
    spec = WorkloadEndpointSpec(
        orchestrator="k8s", node="n", pod=name, interface_name=f"cali{name}", ip_networks=addresses, profiles=("p",)
    )
    return WorkloadEndpoint(metadata=Metadata(name=f"n-k8s-{name}", namespace="shop", labels={"app": name}), spec=spec)


def policy(*ports: int, **source: object) -> Resource:
    ends = {"source": EntityRule(**source), "destination": EntityRule(ports=ports)}  # type: ignore[arg-type]
    spec = NetworkPolicySpec(
        selector="app == 'web'", types=("Ingress",), ingress=(Rule(action="Allow", protocol="TCP", **ends),)
    )
    return NetworkPolicy(metadata=Metadata(name="web", namespace="shop"), spec=spec)


BASE = [
    Profile(metadata=Metadata(name="p"), spec=ProfileSpec(ingress=ALLOW, egress=ALLOW)),
    pod("client-1", "10.0.0.1", "fd00::1"),
    pod("web", "10.0.0.2"),
]
CLIENT, WEB = Peer("shop", "client-1"), Peer("shop", "web")


def replayed(old: list[Resource], new: list[Resource], *records: FlowRecord) -> Outcome:
    return replay(compile_cluster([*BASE, *old]), compile_cluster([*BASE, *new]), records)


def test_flows_that_fare_differently_are_told_with_what_decides() -> None:
    flow = FlowRecord(CLIENT, WEB, 6, 80, "Allow", 2)
    found = replayed([policy(80, 443)], [policy(443)], flow, flow, FlowRecord(CLIENT, WEB, 6, 443, "Allow"))
    (one,) = found.changed
    assert (one.count, one.opens, one.before.action, one.after.action) == (4, False, Action.ALLOW, Action.DENY)
    assert one.after.by[1] == "ingress: Deny by end of tier default"
    assert (found.same, found.odd, found.unknown) == (1, 0, {})


def test_ends_are_found_by_address_by_name_and_by_the_beginning_of_a_name() -> None:
    for peer in (Peer("", "", "10.0.0.1"), Peer("shop", "n-k8s-client-1"), Peer("shop", "client-*"), CLIENT):
        selected = {"selector": "app == 'client-1'"}
        found = replayed([policy(80, **selected)], [policy(81, **selected)], FlowRecord(peer, WEB, 6, 80))
        assert [one.opens for one in found.changed] == [False], peer


def test_somebody_outside_is_judged_by_the_address() -> None:
    flow = FlowRecord(Peer("", "pub", "192.0.2.1"), WEB, 6, 80)
    assert [one.opens for one in replayed([policy(81)], [policy(80, nets=("192.0.2.0/24",))], flow).changed] == [True]


def test_what_was_recorded_under_another_policy_is_counted() -> None:
    assert replayed([policy(80)], [policy(80)], FlowRecord(CLIENT, WEB, 6, 80, "Deny", 5)).odd == 5


def test_what_cannot_be_judged_is_said_so() -> None:
    found = replayed(
        [],
        [],
        FlowRecord(Peer("shop", "gone"), WEB, 6, 80),
        FlowRecord(Peer("", "-", "192.0.2.1"), Peer("", "-", "192.0.2.2"), 6, 80),
        FlowRecord(Peer("", "", "2001:db8::1"), WEB, 6, 80),
        FlowRecord(CLIENT, WEB, 1),
    )
    assert found.unknown == {
        "shop/gone is not in the cluster, and the record has no address of it": 1,
        "neither end is in the cluster": 1,
        "the ends have no address family in common": 1,
    }
    assert found.same == 1
