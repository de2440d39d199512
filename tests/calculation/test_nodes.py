"""Nodes in rules: only a selector that asks for their label means them, and then nothing else."""

from __future__ import annotations

import msgspec
import pytest

from tortie.api.node import Node, NodeAddress, NodeBGP, NodeSpec, NodeWireguard
from tortie.api.resource import Metadata, Resource

ALL_NODES = "has(tortie/node)"


@pytest.fixture
def to(make, world):
    """A world with an endpoint that may only send to what a side says."""

    def to(**side: object):
        rule = make.allow(destination=make.Entity(**side))
        world.go(make.endpoint("a", "10.0.0.9"), make.global_policy("p", types=("Egress",), egress=(rule,)))
        return world

    return to


def test_nodes_are_chosen_by_their_labels(make, to) -> None:
    world = to(selector=f"{ALL_NODES} && role == 'db'")
    world.go(make.node("n1", "192.0.2.1/24", labels={"role": "db"}), make.node("n2", "192.0.2.2/24"))
    assert world.only_set() == {"192.0.2.1"}
    world.go(make.node("n2", "192.0.2.2/24", labels={"role": "db"}))
    assert world.only_set() == {"192.0.2.1", "192.0.2.2"}
    world.remove(make.node("n1"))
    world.flush()
    assert world.only_set() == {"192.0.2.2"}


def test_a_node_can_be_chosen_by_its_name(make, to) -> None:
    world = to(selector="tortie/node == 'n2'")
    world.go(make.node("n1", "192.0.2.1/24"), make.node("n2", "192.0.2.2/24", "fd00::2/64"))
    assert world.only_set() == {"192.0.2.2", "fd00::2"}


def test_all_addresses_by_which_others_reach_a_node_count(to) -> None:
    spec = NodeSpec(
        bgp=NodeBGP(ipv4_address="192.0.2.1/24", ipv6_address="fd00::1/64", ipv4_ipip_tunnel_addr="10.1.0.1"),
        addresses=(NodeAddress(address="198.51.100.1", type="ExternalIP"),),
        ipv4_vxlan_tunnel_addr="10.1.0.2",
        ipv6_vxlan_tunnel_addr="fd01::2",
        wireguard=NodeWireguard(interface_ipv4_address="10.1.0.3", interface_ipv6_address="fd01::3"),
    )
    world = to(selector=ALL_NODES)
    world.go(Node(metadata=Metadata(name="n"), spec=spec))
    own = {"192.0.2.1", "fd00::1", "198.51.100.1"}
    assert world.only_set() == own | {"10.1.0.1", "10.1.0.2", "fd01::2", "10.1.0.3", "fd01::3"}


@pytest.mark.parametrize("selector", ["all()", "!has(role)", "role != 'db'", f"!{ALL_NODES}", f"{ALL_NODES} || all()"])
def test_no_other_selector_means_nodes(make, to, selector: str) -> None:
    world = to(selector=selector)
    world.go(make.node("n", "192.0.2.1/24"))
    assert world.only_set() == {"10.0.0.9"}


def test_nothing_else_becomes_a_node_by_its_labels(make, to) -> None:
    labels = {"tortie/node": "n"}
    world = to(selector=ALL_NODES)
    others: list[Resource] = [
        make.endpoint("b", "10.0.0.8", labels=labels),
        make.host("h", "10.0.0.7", labels=labels),
        make.network_set("s", "10.0.0.6/32", labels=labels),
        make.profile(labels=labels),
    ]
    world.go(*others)
    assert world.only_set() == set()


def test_what_must_not_be_a_node_may_be_anything_else(make, world) -> None:
    rule = make.allow(destination=make.Entity(not_selector=ALL_NODES))
    world.go(make.endpoint("a", "10.0.0.9"), make.global_policy("p", types=("Egress",), egress=(rule,)))
    world.go(make.node("n", "192.0.2.1/24"))
    assert world.only_set() == {"192.0.2.1"}
    (compiled,) = [policy for policy in world.state.policies.values() if policy.id.name == "p"]
    assert not compiled.egress[0].destination.sets
    assert compiled.egress[0].destination.not_sets


def test_in_a_namespace_nodes_are_what_is_in_none(make, world) -> None:
    """As with other things without a namespace: `global()` says so."""
    rules = [
        make.allow(destination=make.Entity(selector=ALL_NODES, namespace_selector=where)) for where in ("", "global()")
    ]
    world.go(make.node("n", "192.0.2.1/24"), make.endpoint("a", "10.0.0.9"))
    world.go(make.policy("p", types=("Egress",), egress=tuple(rules)))
    assert sorted(map(sorted, world.members().values())) == [[], ["192.0.2.1"]]


def test_nodes_are_not_subjects_of_policies(make, world) -> None:
    world.go(make.node("n", "192.0.2.1/24"), make.global_policy("p", ALL_NODES, ingress=(make.allow(),)))
    assert not world.state.policies


def test_an_unreadable_node_is_none_and_told(make, to) -> None:
    world = to(selector=ALL_NODES)
    good = make.node("n", "192.0.2.1/24")
    world.go(good)
    world.go(msgspec.structs.replace(good, spec=NodeSpec(addresses=(NodeAddress(address="here"),))))
    assert world.only_set() == set()
    assert world.calculation.problems.current
    world.remove(good)
    world.flush()
    assert not world.calculation.problems.current
