"""What policies mean, by packets of both families between four workloads on two hosts: one case for each sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Rule
from tortie.lab.topology import Topology

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent)
    from model import yard
    from model.yard import Net, policy, sets, tier

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def net(new_topology: Callable[..., Topology]) -> Iterator[Net]:
    with yard.net(new_topology()) as found:
        yield found


FROM_W1 = "source: {selector: name == 'w1'}"


def test_a_policy_without_types_governs_ingress_alone(net: Net) -> None:
    net.bring(policy("p", f"selector: name == 'w0', ingress: [{{action: Allow, {FROM_W1}}}]"))
    net.expect("w1>w0 w0>w1 w0>w2 w0>w3/udp", "w2>w0 w3>w0 w2>w0/udp w2>w0/icmp")


def test_a_policy_with_egress_rules_alone_governs_egress_alone(net: Net) -> None:
    net.bring(policy("p", "selector: name == 'w0', egress: [{action: Allow, destination: {selector: name == 'w1'}}]"))
    net.expect("w0>w1 w1>w0 w2>w0", "w0>w2 w0>w3 w0>w2/icmp")


def test_types_say_which_directions_are_governed_whatever_rules_there_are(net: Net) -> None:
    net.bring(policy("p", f"selector: name == 'w0', types: [Ingress, Egress], ingress: [{{action: Allow, {FROM_W1}}}]"))
    net.expect("w1>w0", "w2>w0 w0>w1 w0>w2")
    net.bring(policy("p", f"selector: name == 'w0', types: [Ingress], ingress: [{{action: Allow, {FROM_W1}}}]"))
    net.expect("w1>w0 w0>w1 w0>w2", "w2>w0")


def test_a_policy_without_rules_denies_what_it_governs(net: Net) -> None:
    net.bring(policy("p", "selector: name == 'w0', types: [Ingress]"))
    net.expect("w0>w1 w0>w2 w0>w3", "w1>w0 w2>w0 w3>w0 w3>w0/icmp")


def test_the_end_of_a_tier_does_what_the_tier_says(net: Net) -> None:
    passing = policy(
        "p", "selector: name == 'w0', ingress: [{action: Pass, source: {selector: name == 'w1'}}]", tier="t1"
    )
    for action, closed in (("Deny", "w2>w0"), ("Pass", ""), ("Deny", "w2>w0")):
        net.bring(tier("t1", 1, action), passing)
        net.expect(f"w1>w0 {'' if closed else 'w2>w0'}", closed)
    later = policy("q", "selector: name == 'w0', ingress: [{action: Deny, protocol: UDP}]", tier="t2")
    net.bring(tier("t1", 1, "Pass"), tier("t2", 2, "Pass"), passing, later)
    net.expect("w1>w0 w2>w0", "w1>w0/udp w2>w0/udp")
    net.bring(tier("t1", 3), tier("t2", 2, "Pass"), passing, later)
    net.expect("w1>w0", "w1>w0/udp w2>w0")


def test_a_tier_with_staged_policies_alone_decides_nothing(net: Net) -> None:
    staged = policy("p", "selector: name == 'w0', types: [Ingress, Egress]", "StagedNetworkPolicy", "t1")
    net.bring(tier("t1", 1), staged)
    net.expect("w1>w0 w2>w0 w0>w2")


def test_where_an_endpoint_shares_its_list_with_others_makes_no_difference(net: Net) -> None:
    for denied in range(3):
        for last in ("all()", "name == 'w0'"):
            texts = [
                policy(
                    f"p{number}",
                    f'order: {number}, selector: "{last if number == denied else "all()"}", '
                    f"ingress: [{{action: {'Deny' if number == denied else 'Pass'}, protocol: UDP}}]",
                    tier="t1",
                )
                for number in range(3)
            ]
            net.bring(tier("t1", 1, "Pass"), *texts)
            if denied:
                net.expect("w1>w0/udp w2>w1/udp w1>w0")
            elif last == "all()":
                net.expect("w1>w0", "w1>w0/udp w2>w1/udp")
            else:
                net.expect("w2>w1/udp w1>w0", "w1>w0/udp")


NAMED = "destination: {{ports: [shared, w0-port, w1-port, 3003], selector: \"name in {{'w0', 'w1', 'w2'}}\"{more}}}"


def test_named_ports_are_those_of_the_endpoints_that_the_rule_selects(net: Net) -> None:
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {NAMED.format(more='')}}}]"))
    net.expect(
        "w3>w1:1100 w3>w0:3000 w0>w1:3001 w2>w0:3003",
        "w1>w3:1100 w3>w2:3002 w3>w0:3001 w3>w0:3000/udp w3>w1:80 w2>w3:3003",
    )


def test_a_negative_selector_takes_endpoints_away_and_alone_leaves_all_others(net: Net) -> None:
    more = ", notSelector: name == 'w2'"
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {NAMED.format(more=more)}}}]"))
    net.expect("w3>w1:1100 w3>w0:3000", "w3>w2:1100 w1>w3:1100")
    alone = "destination: {ports: [shared], notSelector: name == 'w2'}"
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {alone}}}]"))
    net.expect("w3>w1:1100 w1>w3:1100", "w3>w2:1100")


def test_negated_ports_win_over_positive_ones(net: Net) -> None:
    ports = "destination: {ports: [1100, 1001, w0-port, 3003], notPorts: [w0-port, 1001, 3003]}"
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {ports}}}]"))
    net.expect("w1>w0:1100 w2>w1:1100", "w1>w0:3000 w1>w0:1001 w1>w0:3003 w3>w1:1001 w1>w0:80")


def test_lists_of_ports_may_be_long(net: Net) -> None:
    ports = f"[{', '.join(str(port) for port in range(2000, 2100, 2))}, '3000:3002', w3-port]"
    for way, end, opened, closed in (
        ("ingress", "destination", "w1>w0:3000 w1>w0:3001 w1>w3:3003", "w1>w0:3003 w1>w0:80"),
        ("egress", "destination", "w1>w0:3002 w2>w0:3000 w1>w3:3003", "w1>w0:3003 w2>w0:81"),
    ):
        net.bring(policy("p", f"selector: all(), {way}: [{{action: Allow, protocol: TCP, {end}: {{ports: {ports}}}}}]"))
        net.expect(opened, closed)
        net.bring(
            policy("p", f"selector: all(), {way}: [{{action: Allow, protocol: TCP, {end}: {{notPorts: {ports}}}}}]")
        )
        net.expect(closed, opened)


def test_named_ports_of_datagrams_are_their_own(net: Net) -> None:
    net.bring(
        policy("p", "selector: all(), ingress: [{action: Allow, protocol: UDP, destination: {ports: [w0-port-udp]}}]")
    )
    net.expect("w1>w0:3000/udp w2>w0:3000/udp", "w1>w0:3000 w1>w0:3001/udp w0>w1:3000/udp")


@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.parametrize("transport", ["tcp", "udp", "sctp"])
def test_ports_of_senders_go_by_number_and_by_the_name_that_each_gives_them(net: Net, transport: str, way: str) -> None:
    suffix = "" if transport == "tcp" else f"-{transport}"
    many = ", ".join(map(str, range(2001, 2033, 2)))
    ports = f"[{many}, w0-out{suffix}, w1-out{suffix}]"
    some = "selector: \"name in {'w0', 'w1', 'w2'}\""
    fits = "w0@4000>w3 w1@4001>w0 w2@2003>w3 w2@2031>w0"
    other = "w0@4001>w3 w1@4000>w0 w2@4002>w3 w2@2004>w0"
    unknown = "w3@4000>w0 w3@2003>w0"
    for match, opened, closed in (
        (f"ports: {ports}, {some}", fits, f"{other} {unknown}"),
        (f"notPorts: {ports}, {some}", other, f"{fits} {unknown}"),
        (f"ports: {ports}", f"{fits} w3@2003>w0", f"{other} w3@4000>w0"),
    ):
        rule = f"{{action: Allow, protocol: {transport.upper()}, source: {{{match}}}}}"
        net.bring(policy("p", f"selector: all(), {way}: [{rule}]"))
        net.expect(*(" ".join(f"{one}/{transport}" for one in text.split()) for text in (opened, closed)))


@pytest.mark.parametrize("transport", ["udp", "sctp"])
@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_named_ports_are_told_apart_by_protocol(net: Net, transport: str, way: str) -> None:
    ports = f"[w0-port-{transport}, w1-port-{transport}, 3003]"
    to_some = f"destination: {{ports: {ports}, selector: \"name in {{'w0', 'w1', 'w2'}}\"}}"
    net.bring(policy("p", f"selector: all(), {way}: [{{action: Allow, protocol: {transport.upper()}, {to_some}}}]"))
    net.expect(
        f"w3>w0:3000/{transport} w0>w1:3001/{transport} w2>w0:3003/{transport}",
        f"w3>w2:3002/{transport} w3>w0:3001/{transport} w2>w3:3003/{transport} w3>w0:3000 w0>w1:3001",
    )


def test_every_list_of_prefixes_denies_by_itself(net: Net) -> None:
    """Lists of either side, positive and negative, with ports: each alone decides, in every combination."""
    w0, w1 = (f'["{four}/32", "{six}/128"]' for four, six in map(net.addresses, ("w0", "w1")))
    elsewhere = '["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/64", "2001:db8:1::/64"]'
    fit = {"source": f"nets: {w1}, notNets: {elsewhere}, notPorts: [1]", "destination": f"nets: {w0}, ports: [80]"}
    net.bring(policy("p", f"selector: name == 'w0', ingress: [{_both(fit)}]"))
    net.expect("w1>w0", "w2>w0 w1>w0:81")
    for end, wrong in (
        ("source", f"nets: {elsewhere}"),
        ("source", f"nets: {w1}, notNets: {w1}"),
        ("destination", f"nets: {elsewhere}, ports: [80]"),
        ("destination", f"nets: {w0}, notNets: {w0}, ports: [80]"),
        ("destination", f"nets: {w0}, ports: [81]"),
        ("destination", f"nets: {w0}, ports: [80], notPorts: [80]"),
    ):
        net.bring(policy("p", f"selector: name == 'w0', ingress: [{_both(fit | {end: wrong})}]"))
        net.expect("", "w1>w0")


def _both(ends: dict[str, str]) -> str:
    sides = ", ".join(f"{end}: {{{match}}}" for end, match in ends.items())
    return f"{{action: Allow, protocol: TCP, {sides}}}"


def test_network_sets_follow_their_members(net: Net) -> None:
    (a0, b0), (a1, b1), (a2, b2) = map(net.addresses, ("w0", "w1", "w2"))
    rule = "{action: Allow, source: {selector: set == 'src'}, destination: {selector: set == 'dst'}}"
    allow = policy("p", f"selector: all(), ingress: [{rule}]")

    def nets(*addresses: str) -> str:
        return ", ".join(f'"{one}"' for one in addresses)

    net.bring(allow, sets(src=nets(a0, b0, a1, b1), dst=nets(a2, b2)))
    net.expect("w0>w2 w1>w2", "w3>w2 w0>w1 w2>w0")
    net.bring(allow, sets(src=nets(a0, b0), dst=nets(a2, b2, a1, b1)))
    net.expect("w0>w2 w0>w1", "w1>w2 w3>w1")
    net.bring(allow, sets(src=nets("0.0.0.0/0", "::/0", a0, b0), dst=nets(a2, b2)))
    net.expect("w3>w2 w0>w2", "w2>w3")
    net.bring(allow, sets(src=nets("10.0.0.0/8", "10.65.0.0/16", "fd00::/8"), dst=nets(a2, b2)))
    net.expect("w3>w2")
    net.bring(allow, sets(dst=nets(a2, b2)))
    net.expect("", "w0>w2 w3>w2")


def test_icmp_of_ipv6_may_be_denied_and_neighbours_are_found_all_the_same(net: Net) -> None:
    rules = "[{action: Deny, protocol: ICMPv6}, {action: Allow}]"
    net.bring(
        policy(
            "p", f"selector: all(), types: [Ingress, Egress], ingress: {rules}, egress: {rules}", "GlobalNetworkPolicy"
        )
    )
    net.expect("w0>w1 w0>w2 w3>w1/udp")


def test_nobody_sends_under_the_address_of_another_unless_an_operator_allows_it(net: Net) -> None:
    borrowed = net.addresses("w2")
    for allowed in (False, True):
        net.bring(net.endpoint("w0", spoofed=", ".join(f'"{one}"' for one in borrowed if allowed)))
        for family, own, other in zip((4, 6), net.addresses("w0"), borrowed, strict=True):
            assert net.arrives("w0", "w3", family, own)
            assert net.arrives("w0", "w3", family, other) == allowed


def test_two_thousand_policies_come_and_go_with_the_endpoint_that_they_are_about(net: Net) -> None:
    """Each has a set of its own; while nobody needs them none of it is in the kernel."""
    many = [
        NetworkPolicy(
            metadata=Metadata(name=f"p{number}", namespace="shop"),
            spec=NetworkPolicySpec(
                tier="default",
                order=1,
                selector="name == 'w0'",
                types=("Ingress",),
                ingress=(Rule(action="Deny", source=EntityRule(selector=f"x == '{number}'")),),
            ),
        )
        for number in range(2000)
    ]
    last = policy("last", f"order: 10000, selector: all(), ingress: [{{action: Allow, {FROM_W1}}}]")
    for texts, absent in (((last, *many), ""), ((last,), "w0"), ((last, *many), "")):
        net.bring(*texts, absent=absent)
        net.expect("w1>w3" if absent else "w1>w0 w1>w3", "w1>w0" if absent else "w2>w0 w3>w0")
        assert (net.objects("h1") > 4000) == (not absent)
        assert net.objects("h2") < 100
