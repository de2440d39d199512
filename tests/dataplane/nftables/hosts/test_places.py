"""Where host endpoints judge, and whom they leave alone: real datagrams of both families."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rule_words import Fate, Words, words
from tortie.dataplane.nftables.rules import END, FAILSAFE
from tortie.dataplane.nftables.settings import EndpointToHost, Settings
from tortie.desired.failsafes import UDP, Failsafe, Failsafes
from tortie.desired.policy import Action, Direction, PolicyList, Stage
from tortie.desired.state import Changes, DesiredState

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
ALLOW, DENY = Action.ALLOW, Action.DENY
HOST = ("192.0.2.1", "fd00:2::1")
NEAR = ("192.0.2.9", "fd00:2::9")
FAR = ("198.51.100.9", "fd00:51::9")
POD = ("10.65.0.1", "fd00:65::1")
BOTH = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])


@BOTH
def test_nothing_is_judged_without_host_endpoints(lab: Any, family: int) -> None:
    for sender, destination in (("near", HOST), ("host", NEAR), ("near", POD), ("near", FAR), ("host", POD)):
        assert lab.arrives(sender, destination[family])


def test_base_chains_for_hosts_are_there_only_while_they_judge(lab: Any, guarded: Any) -> None:
    def hooked() -> set[str]:
        shown = lab.run("host", "nft", "-j", "list", "chains")
        chains = [one["chain"] for one in json.loads(shown)["nftables"] if "chain" in one]
        return {one["name"] for one in chains if "hook" in one and one["name"].startswith("host-")}

    free, kept = guarded.state, DesiredState(policies=guarded.state.policies, endpoints=guarded.state.endpoints)
    assert hooked() == set()
    lab.bring(guarded.endpoint("h", "*").state, Changes(host_endpoints={"h"}))
    normal = {"host-untracked-in", "host-untracked-out", "host-in", "host-out", "host-out-translated"}
    assert hooked() == normal
    early = {"pre_dnat": guarded.early(DENY, 81), "forward_ingress": guarded.tiers(DENY, 81)}
    lab.bring(guarded.endpoint("h", "*", **early).state, Changes(host_endpoints={"h"}, policies=set(free.policies)))
    assert hooked() == normal | {"host-pre-dnat", "host-forward-in"}
    lab.bring(kept, Changes(host_endpoints={"h"}))
    assert hooked() == set()
    assert not lab.plan(kept).operations


@BOTH
def test_a_host_endpoint_without_policy_lets_only_failsafes_and_forwarding_through(
    lab: Any, guarded: Any, family: int
) -> None:
    lab.bring(guarded.endpoint("h", "eth0").state)
    assert not lab.arrives("near", HOST[family])
    assert not lab.arrives("host", NEAR[family])
    assert lab.arrives("near", HOST[family], 22)
    assert lab.arrives("host", NEAR[family], 53)
    assert not lab.arrives("near", HOST[family], 53)
    assert lab.arrives("near", POD[family])
    assert lab.arrives("pod1", NEAR[family])
    assert lab.arrives("host", POD[family])
    assert lab.arrives("far", "198.51.100.1" if not family else "fd00:51::1")


@BOTH
def test_answers_of_allowed_flows_pass(lab: Any, guarded: Any, family: int) -> None:
    lab.bring(guarded.endpoint("h", "eth0", ingress=PolicyList(guarded.tiers(ALLOW, 80))).state)
    assert lab.answers("near", HOST[family], 80)
    assert not lab.answers("near", HOST[family], 81)
    assert lab.answers("near", HOST[family], 22)
    assert lab.answers("host", NEAR[family], 53)


@BOTH
def test_policy_about_forwarding_is_for_both_ways_and_not_for_the_host(lab: Any, guarded: Any, family: int) -> None:
    guarded.endpoint("h", "eth0", is_open=True, forward_ingress=guarded.tiers(ALLOW, 80))
    lab.bring(guarded.state)
    assert lab.arrives("near", POD[family], 80)
    assert not lab.arrives("near", POD[family], 81)
    assert not lab.arrives("near", POD[family], 22), "failsafes are for the host itself"
    assert lab.arrives("pod1", NEAR[family], 81)
    assert lab.arrives("near", HOST[family], 81)
    assert not lab.arrives("near", FAR[family], 81)
    lab.bring(guarded.endpoint("h", "eth0", is_open=True, forward_egress=guarded.tiers(DENY, 81)).state)
    assert not lab.arrives("pod1", NEAR[family], 81)
    assert lab.arrives("host", NEAR[family], 81)
    assert lab.arrives("pod1", FAR[family], 81)


@BOTH
def test_workloads_reach_their_host_by_their_own_policy_only(lab: Any, guarded: Any, family: int) -> None:
    settings = lab.target.settings
    guarded.endpoint("h", "*", ingress=PolicyList(guarded.tiers(DENY)))
    lab.target.settings = Settings(endpoint_to_host=EndpointToHost.ACCEPT)
    lab.bring(guarded.state)
    assert lab.arrives("pod1", HOST[family])
    assert not lab.arrives("near", HOST[family])
    lab.bring(guarded.endpoint("h", "*", is_open=True, pre_dnat=guarded.early(DENY, 80)).state)
    assert not lab.arrives("pod1", HOST[family], 80), "early policy of a wildcard is for workloads too"
    assert lab.arrives("pod1", HOST[family], 81)
    lab.target.settings = settings
    lab.bring(guarded.endpoint("h", "*", is_open=True, pre_dnat=guarded.early(ALLOW)).state)
    assert not lab.arrives("pod1", HOST[family], 81), "and does not open what is closed to workloads"


@BOTH
def test_the_host_always_reaches_its_workloads(lab: Any, guarded: Any, family: int) -> None:
    shut = guarded.tiers(DENY)
    guarded.endpoint("h", "*", egress=PolicyList(shut), forward_ingress=shut, forward_egress=shut)
    lab.bring(guarded.state)
    assert lab.answers("host", POD[family])
    assert not lab.arrives("pod1", "10.65.0.2" if not family else "fd00:65::2")
    service = ("10.96.0.2", "fd00:96::2")[family]
    assert lab.arrives("host", service, 53, receiver="pod1")


@BOTH
def test_a_wildcard_guards_all_but_loopback_and_what_has_a_guard_of_its_own(
    lab: Any, guarded: Any, family: int
) -> None:
    lab.bring(guarded.endpoint("w", "*", forward_ingress=guarded.tiers(DENY)).endpoint("h", "eth0", True).state)
    assert lab.arrives("near", HOST[family])
    assert lab.arrives("near", FAR[family]), "its own guard has no policy about forwarding"
    assert not lab.arrives("far", NEAR[family])
    assert not lab.arrives("far", HOST[family])
    assert lab.arrives("host", HOST[family])
    assert lab.arrives("host", "127.0.0.1" if not family else "::1")
    lab.bring(guarded.endpoint("l", "lo").state, Changes(host_endpoints={"l"}))
    assert not lab.arrives("host", "127.0.0.1" if not family else "::1")


@BOTH
def test_early_policy_sees_the_destination_that_the_sender_wrote(lab: Any, guarded: Any, family: int) -> None:
    lab.bring(guarded.endpoint("h", "eth0", pre_dnat=guarded.early(DENY)).state)
    for port, receiver in ((32010, "pod1"), (32011, "far"), (32012, "host")):
        assert not lab.arrives("near", HOST[family], port, receiver)
    assert lab.arrives("far", HOST[family], 32010, "pod1")
    pinhole = (*guarded.early(ALLOW, 32010, 32012), *guarded.early(DENY))
    lab.bring(guarded.endpoint("h", "eth0", pre_dnat=pinhole).state)
    assert lab.arrives("near", HOST[family], 32010, "pod1")
    assert lab.arrives("near", HOST[family], 32012, "host"), "what it allows is not judged again"
    assert not lab.arrives("near", HOST[family], 32011, "far")
    assert not lab.arrives("near", POD[family], 80)
    lab.bring(guarded.endpoint("h", "eth0", pre_dnat=(*guarded.early(ALLOW, 80), *guarded.early(DENY))).state)
    assert not lab.arrives("near", HOST[family], 32010, "pod1"), "the port behind the translation does not count"


@BOTH
def test_what_early_policy_allows_is_still_judged_as_it_leaves(lab: Any, guarded: Any, family: int) -> None:
    guarded.endpoint("h", "eth0", pre_dnat=guarded.early(ALLOW), forward_ingress=guarded.tiers(DENY))
    lab.bring(guarded.state)
    assert lab.arrives("near", FAR[family])
    lab.bring(guarded.endpoint("i", "eth1", forward_egress=guarded.tiers(DENY)).state)
    assert not lab.arrives("near", FAR[family])


@BOTH
def test_what_the_host_sends_to_a_service_is_judged_where_it_leaves(lab: Any, guarded: Any, family: int) -> None:
    """On its way it would leave by eth0; its destination is translated, and it leaves by eth1."""
    service = ("10.96.0.1", "fd00:96::1")[family]
    lab.bring(guarded.endpoint("h", "eth0").state)
    assert lab.arrives("host", service, 53, receiver="far")
    lab.bring(guarded.endpoint("h", "eth0", True).endpoint("i", "eth1").state)
    assert not lab.arrives("host", service, 53, receiver="far"), "it is no failsafe behind the translation"
    lab.bring(guarded.endpoint("i", "eth1", egress=PolicyList(guarded.tiers(ALLOW, 80))).state)
    assert lab.arrives("host", service, 53, receiver="far")
    assert lab.arrives("pod1", FAR[family], 81), "what is forwarded is not the host's"


@BOTH
def test_policy_of_the_host_sees_the_translated_destination(lab: Any, guarded: Any, family: int) -> None:
    lab.bring(guarded.endpoint("h", "eth0", ingress=PolicyList(guarded.tiers(ALLOW, 81))).state)
    assert lab.arrives("near", HOST[family], 32012, "host")
    lab.bring(guarded.endpoint("h", "eth0", ingress=PolicyList(guarded.tiers(ALLOW, 32012))).state)
    assert not lab.arrives("near", HOST[family], 32012, "host")


@BOTH
def test_untracked_policy_needs_both_ways_and_leaves_failsafes_tracked(lab: Any, guarded: Any, family: int) -> None:
    raw = Stage.UNTRACKED
    allowed = guarded.early(ALLOW, 80, stage=raw)
    lab.bring(guarded.endpoint("h", "eth0", untracked_ingress=allowed).state)
    assert lab.arrives("near", HOST[family], 80), "later policy does not judge it"
    assert not lab.answers("near", HOST[family], 80)
    assert not lab.arrives("near", HOST[family], 81)
    everything = guarded.early(ALLOW, stage=raw)
    lab.bring(guarded.endpoint("h", "eth0", untracked_ingress=allowed, untracked_egress=everything).state)
    assert lab.answers("near", HOST[family], 80)
    shut = guarded.early(DENY, stage=raw)
    lab.bring(guarded.endpoint("h", "eth0", True, untracked_ingress=shut, untracked_egress=shut).state)
    assert not lab.arrives("near", HOST[family], 80)
    assert not lab.arrives("near", POD[family], 80), "also what is not for the host"
    assert lab.arrives("far", POD[family], 80)
    assert lab.answers("near", HOST[family], 22)
    assert lab.answers("host", NEAR[family], 53)


def test_what_no_policy_decides_is_counted_under_its_place(lab: Any, guarded: Any) -> None:
    end = RuleName("HostEndpoint", "", "host-in", Direction.INGRESS, END)
    failsafe = RuleName("Failsafes", "", "failsafes-in", Direction.INGRESS, FAILSAFE)
    lab.bring(guarded.endpoint("h", "eth0").state)
    before = lab.counters()
    for port in (80, 81, 22):
        lab.arrives("near", HOST[0], port)
    counted = lab.counters()
    grown = {one: counted[one.identity][0] - before.get(one.identity, (0, 0))[0] for one in (end, failsafe)}
    assert grown == {end: 2, failsafe: 1}
    assert words(end) == Words(Fate.DENY, "no profile matched (host-in)")
    assert words(failsafe) == Words(Fate.ALLOW, "failsafe port of the host")


def test_marks_that_others_left_accept_nothing(lab: Any, guarded: Any) -> None:
    lab.bring(guarded.endpoint("h", "eth0").state)
    lab.run("host", "nft", "add table inet stale")
    for hook in ("prerouting", "output"):
        lab.run("host", "nft", f"add chain inet stale {hook} {{ type filter hook {hook} priority -310; }}")
        lab.run("host", "nft", f"add rule inet stale {hook} meta mark set 0xffffffff")
    try:
        assert not lab.arrives("near", HOST[0])
        assert not lab.arrives("host", NEAR[0])
    finally:
        lab.run("host", "nft", "delete table inet stale")


def test_what_is_not_tracked_is_not_translated(lab: Any, guarded: Any) -> None:
    raw = guarded.early(ALLOW, 32010, stage=Stage.UNTRACKED)
    lab.bring(guarded.endpoint("h", "eth0", untracked_ingress=raw).state)
    assert lab.arrives("near", HOST[0], 32010, "host")


def test_failsafes_can_be_for_some_peers(lab: Any, guarded: Any) -> None:
    settings = lab.target.settings
    near, nobody = Cidr.parse("192.0.2.0/24"), Cidr.parse("203.0.113.0/24")
    known = Failsafes((Failsafe(UDP, 22, near), Failsafe(UDP, 53, nobody)), (Failsafe(UDP, 80, Cidr.parse(NEAR[1])),))
    lab.target.settings = Settings(failsafes=known)
    lab.bring(guarded.endpoint("h", "eth0").endpoint("i", "eth1").state)
    assert lab.answers("near", HOST[0], 22)
    assert not lab.arrives("near", HOST[1], 22)
    assert not lab.arrives("far", "198.51.100.1", 22)
    assert not lab.arrives("near", HOST[0], 53)
    assert lab.arrives("host", NEAR[1], 80)
    assert not lab.arrives("host", NEAR[0], 80)
    raw = guarded.early(DENY, stage=Stage.UNTRACKED)
    lab.bring(guarded.endpoint("h", "eth0", untracked_ingress=raw, untracked_egress=raw).state)
    assert lab.answers("near", HOST[0], 22)
    lab.target.settings = Settings(failsafes=Failsafes())
    lab.bring(guarded.state)
    assert not lab.arrives("near", HOST[0], 22)
    lab.target.settings = settings


def test_neighbours_are_found_whatever_policy_says(lab: Any, guarded: Any) -> None:
    raw = guarded.early(DENY, stage=Stage.UNTRACKED)
    shut = PolicyList(guarded.tiers(DENY))
    guarded.endpoint("h", "eth0", ingress=shut, egress=shut, untracked_ingress=raw, untracked_egress=raw)
    lab.bring(guarded.state)
    lab.run("host", "ip", "neigh", "flush", "dev", "eth0")
    lab.run("near", "ip", "neigh", "flush", "dev", "eth0")
    assert any(lab.arrives("near", HOST[1], 22) for _ in range(5))
    assert any(lab.arrives("host", NEAR[1], 53) for _ in range(5))


def test_an_endpoint_follows_its_address_from_interface_to_interface(lab: Any, guarded: Any) -> None:
    expected = (Cidr.host("203.0.113.7"),)
    lab.bring(guarded.endpoint("h", "", expected=expected).state)
    assert lab.arrives("near", HOST[0])
    for interface, other in (("eth0", "eth1"), ("eth1", "eth0")):
        lab.run("host", "ip", "addr", "add", "203.0.113.7/32", "dev", interface)
        lab.bring(guarded.state, Changes(addresses=True))
        assert lab.arrives("near", HOST[0]) is (other == "eth0")
        assert lab.arrives("far", "198.51.100.1") is (other == "eth1")
        lab.run("host", "ip", "addr", "del", "203.0.113.7/32", "dev", interface)
    lab.bring(guarded.state, Changes(addresses=True))
    assert lab.arrives("near", HOST[0])
    assert lab.arrives("far", "198.51.100.1")


def test_endpoints_that_guard_nothing_are_told_with_the_reason(lab: Any, guarded: Any) -> None:
    guarded.endpoint("a", "eth0").endpoint("b", "eth0").endpoint("c", "eth7").endpoint("d", "*").endpoint("e", "*")
    guarded.endpoint("f", "", expected=(Cidr.host("203.0.113.7"), Cidr.host("fd00:7::7")))
    assert lab.plan(guarded.state).waiting == {
        "HostEndpoint b": "eth0 is guarded by HostEndpoint a",
        "HostEndpoint c": "interface eth7 does not exist",
        "HostEndpoint e": "* is guarded by HostEndpoint d",
        "HostEndpoint f": "no interface that it could guard has 203.0.113.7 or fd00:7::7",
    }


def test_the_first_endpoint_cuts_no_flow(lab: Any, guarded: Any) -> None:
    assert lab.arrives("near", HOST[0], 80, source_port=31000)
    assert lab.arrives("host", NEAR[0], 81, source_port=1053)
    assert not lab.arrives("host", NEAR[0], 31000, source_port=80), "the answer, for which nobody listens"
    lab.bring(guarded.endpoint("h", "eth0").state, Changes(host_endpoints={"h"}))
    assert lab.arrives("near", HOST[0], 80, source_port=31000)
    assert lab.arrives("near", HOST[0], 1053, source_port=81), "the answer to what was sent before"
    assert not lab.arrives("near", HOST[0], 80, source_port=31001)
