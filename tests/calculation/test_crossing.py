"""The ways across a host: who judges a packet, in which order, and what a decision spares it."""

from __future__ import annotations

import pytest

from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Crossing, Host, Passage, Surroundings
from tortie.calculation.verdict import Packet
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.failsafes import Failsafe, Failsafes
from tortie.desired.hosts import HostEndpoint, HostEndpointName, Tiers
from tortie.desired.network import Network, Tunnels
from tortie.desired.policy import (
    Action,
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

ALLOW, DENY = Action.ALLOW, Action.DENY
OUTSIDE, HERE, POD, OTHER = "192.0.2.9", "192.0.2.1", "10.65.0.1", "10.65.0.2"


def packet(source: str, destination: str, port: int = 80, source_port: int = 40000) -> Packet:
    family, ends = Cidr.host(source).family, (Cidr.host(source).address, Cidr.host(destination).address)
    return Packet(family, 6, *ends, source_port, port)


def policy(name: str, action: Action, port: int, stage: Stage = Stage.NORMAL) -> Policy:
    rules = (Rule(action, 0, protocol=6, destination=Side(ports=(PortRange(port, port),))),)
    return Policy(PolicyId("GlobalNetworkPolicy", "", name), "default", rules, rules, stage)


POLICIES = {
    one.id.name: one
    for one in (
        policy("allow-80", ALLOW, 80),
        policy("deny-80", DENY, 80),
        policy("early-80", ALLOW, 80, Stage.PRE_DNAT),
        policy("early-deny-80", DENY, 80, Stage.PRE_DNAT),
        Policy(PolicyId("GlobalNetworkPolicy", "", "open"), "default", (Rule(ALLOW, 0),), (Rule(ALLOW, 0),)),
        policy("raw-80", ALLOW, 80, Stage.UNTRACKED),
        policy("raw-deny-80", DENY, 80, Stage.UNTRACKED),
        policy("raw-deny-22", DENY, 22, Stage.UNTRACKED),
    )
}


def tiers(name: str, end: Action = DENY) -> Tiers:
    return (TierPolicies("default", (POLICIES[name].id,), end),)


def early(name: str) -> Tiers:
    return tiers(name, Action.PASS)


def endpoint(name: str, interface: str, **lists: object) -> HostEndpoint:
    return HostEndpoint(name=HostEndpointName(name), interface=interface, **lists)  # type: ignore[arg-type]


def host(*endpoints: HostEndpoint, pods: str = "allow-80", reach_host: bool = False) -> Host:
    state = DesiredState(policies={one.id: one for one in POLICIES.values()})
    state.host_endpoints = {one.name: one for one in endpoints}
    for number, address in enumerate((POD, OTHER), 1):
        governing = PolicyList(tiers(pods))
        one = Endpoint(EndpointId("shop", f"p{number}"), f"cali{number}", (Cidr.host(address),), governing, governing)
        state.endpoints[one.id] = one
    known = Failsafes((Failsafe(6, 22, Cidr.parse("192.0.2.0/24")),), (Failsafe(6, 2379),))
    return Host(state, Surroundings({"eth0": {Cidr.host(HERE)}}, known, reach_host=reach_host))


def places(passage: Passage) -> list[str]:
    return [stop.where.split()[-1] for stop in passage.stops]


IN = Crossing(packet(OUTSIDE, HERE), "eth0")
OUT = Crossing(packet(HERE, OUTSIDE), outgoing="eth0")
TO_POD = Crossing(packet(OUTSIDE, POD), "eth0", "cali1")


def test_a_host_without_endpoints_is_not_judged() -> None:
    for crossing in (IN, OUT, Crossing(packet(HERE, POD), outgoing="cali1")):
        assert host().judge(crossing) == Passage(ALLOW, ())


def test_a_packet_meets_every_place_in_order() -> None:
    open_host = endpoint(
        "h",
        "eth0",
        ingress=PolicyList(tiers("allow-80")),
        forward_ingress=tiers("allow-80"),
        untracked_ingress=early("raw-deny-22"),
        pre_dnat=(),
    )
    assert places(host(open_host).judge(IN)) == ["untracked-in", "pre-dnat", "host-in"]
    assert places(host(open_host).judge(TO_POD)) == ["untracked-in", "pre-dnat", "forward-in", "ingress"]
    out = Crossing(packet(POD, OUTSIDE), "cali1", "eth0")
    assert places(host(open_host).judge(out)) == ["egress", "forward-out"]
    assert places(host(open_host).judge(OUT)) == ["untracked-out", "host-out"]


def test_what_an_early_place_allows_later_ones_of_the_interface_do_not_judge() -> None:
    shut = {"ingress": PolicyList(tiers("deny-80")), "forward_ingress": tiers("deny-80")}
    for first in ({"untracked_ingress": early("raw-80")}, {"pre_dnat": early("early-80")}):
        guarded = host(endpoint("h", "eth0", **shut, **first))
        assert guarded.judge(IN).action is ALLOW
        assert places(guarded.judge(TO_POD))[-1] == "ingress"
    assert host(endpoint("h", "eth0", untracked_egress=early("raw-80"))).judge(OUT).action is ALLOW


@pytest.mark.parametrize("place", ["untracked_ingress", "pre_dnat"])
def test_what_an_early_place_denies_goes_nowhere(place: str) -> None:
    name = "raw-deny-80" if place == "untracked_ingress" else "early-deny-80"
    guarded = host(endpoint("h", "eth0", ingress=PolicyList(tiers("allow-80")), **{place: early(name)}))
    assert guarded.judge(IN).action is guarded.judge(TO_POD).action is DENY


def test_before_translation_the_original_destination_counts() -> None:
    guarded = host(endpoint("h", "eth0", pre_dnat=early("early-deny-80")))
    translated = packet(OUTSIDE, POD, 80)
    assert guarded.judge(Crossing(translated, "eth0", "cali1", packet(OUTSIDE, HERE, 32000))).action is ALLOW
    assert guarded.judge(Crossing(packet(OUTSIDE, HERE, 81), "eth0", "", packet(OUTSIDE, HERE, 80))).action is DENY


def test_forwarding_is_free_without_a_policy_for_it() -> None:
    assert host(endpoint("h", "eth0")).judge(TO_POD).action is ALLOW
    assert host(endpoint("h", "eth0", forward_ingress=tiers("deny-80"))).judge(TO_POD).action is DENY
    assert host(endpoint("h", "eth0", forward_ingress=early("early-80"))).judge(TO_POD).action is ALLOW


def test_failsafes_are_for_the_host_itself_and_for_their_peers() -> None:
    guarded = host(endpoint("h", "eth0", forward_ingress=tiers("deny-80")))
    assert guarded.judge(IN).action is DENY
    assert guarded.judge(Crossing(packet(OUTSIDE, HERE, 22), "eth0")).action is ALLOW
    assert guarded.judge(Crossing(packet("198.51.100.1", HERE, 22), "eth0")).action is DENY
    assert guarded.judge(Crossing(packet(OUTSIDE, POD, 22), "eth0", "cali1")).action is DENY
    assert guarded.judge(Crossing(packet(HERE, OUTSIDE, 2379), outgoing="eth0")).action is ALLOW


def test_without_tracking_failsafes_are_for_answers_too() -> None:
    shut = host(endpoint("h", "eth0", untracked_egress=early("raw-deny-80"), untracked_ingress=early("raw-deny-80")))
    answer = packet(HERE, OUTSIDE, 80, 22)
    assert shut.judge(Crossing(answer, outgoing="eth0")).stops[0].action is Action.PASS
    assert shut.judge(OUT).stops[0].action is DENY


def test_a_wildcard_guards_forwarding_of_workloads_but_never_the_host_against_them() -> None:
    wildcard = endpoint("h", "*", forward_ingress=tiers("deny-80"))
    between = Crossing(packet(POD, OTHER), "cali1", "cali2")
    assert host(wildcard).judge(between).action is DENY
    assert host(wildcard).judge(Crossing(packet(HERE, POD), outgoing="cali1")).action is ALLOW
    assert host(wildcard, reach_host=True).judge(Crossing(packet(POD, HERE), "cali1")).action is ALLOW
    assert host(wildcard).judge(Crossing(packet(POD, HERE), "cali1")).action is DENY
    early_wildcard = endpoint("h", "*", pre_dnat=early("early-deny-80"))
    assert host(early_wildcard, reach_host=True).judge(Crossing(packet(POD, HERE), "cali1")).action is DENY
    assert host(wildcard).judge(Crossing(packet("127.0.0.1", "127.0.0.1"), "lo")).action is ALLOW


def with_peer(state: DesiredState, peer: str) -> DesiredState:
    """IP in IP and VXLAN from one other node."""
    members = Members(hosts4=Cidr.host(peer).packed)
    state.network = Network(Tunnels(ipip=True, vxlan=(4,)))
    state.sets = {one: IPSet(one, members) for one in state.network.set_ids()}
    return state


@pytest.mark.parametrize("protocol, port", [(4, None), (17, 4789)], ids=["IPIP", "VXLAN"])
def test_tunnels_of_nodes_pass_and_those_of_others_do_not(protocol: int, port: int | None) -> None:
    def made(source: str, destination: str) -> Packet:
        return Packet(4, protocol, Cidr.host(source).address, Cidr.host(destination).address, port, port)

    state = with_peer(DesiredState(host_endpoints={HostEndpointName("h"): endpoint("h", "*")}), OUTSIDE)
    guarded = Host(state)
    assert guarded.judge(Crossing(made(OUTSIDE, HERE), "eth0")).action is ALLOW
    assert guarded.judge(Crossing(made(HERE, OUTSIDE), outgoing="eth0")).action is ALLOW
    assert guarded.judge(Crossing(made("192.0.2.8", HERE), "eth0")).action is DENY
    assert guarded.judge(Crossing(made(HERE, "192.0.2.8"), outgoing="eth0")).action is DENY
    state.host_endpoints = {}
    assert Host(state).judge(Crossing(made("192.0.2.8", HERE), "eth0")).action is DENY
    external = Surroundings(external_nodes=(Cidr.parse("192.0.2.0/28"),))
    assert Host(state, external).judge(Crossing(made("192.0.2.8", HERE), "eth0")).action is ALLOW
    state.network = Network()
    assert Host(state).judge(Crossing(made("192.0.2.8", HERE), "eth0")).action is ALLOW
    assert host(pods="open").judge(Crossing(made(POD, OUTSIDE), "cali1", "eth0")).action is DENY


def test_workloads_are_judged_as_ever() -> None:
    assert host(pods="deny-80").judge(TO_POD).action is DENY
    assert host().judge(Crossing(packet(OTHER, OUTSIDE), "cali1", "eth0")).stops[-1].where == "shop/p1: not its address"
    assert host().judge(Crossing(packet(OUTSIDE, POD), "eth0", "cali9")).action is DENY
    assert "Allow by GlobalNetworkPolicy allow-80 rule 0" in str(host().judge(TO_POD).stops[0])


def test_neighbours_are_always_found() -> None:
    asked = Packet(6, 58, Cidr.host("fe80::1").address, Cidr.host("ff02::1").address, icmp_type=135)
    assert host(endpoint("h", "eth0")).judge(Crossing(asked, "eth0")).action is ALLOW
