"""BGP sessions and announcements of one node."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from tortie.api.bgp import BGPPassword, SecretKeyRef
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.peering import as_number, split_address
from tortie.desired.bgp import BGPNode, Pool, Session


def sessions(world) -> dict[str, Session]:
    return {session.name: session for session in world.state.bgp.sessions}


def test_a_node_without_a_bgp_address_has_no_speaker(make, world) -> None:
    world.go(make.node("there", "10.0.0.2/24"))
    assert world.state.bgp is None
    world.go(make.node("here", "10.0.0.1/24"))
    assert world.state.bgp is not None
    world.remove(make.node("here"))
    assert world.flush().bgp is None


def test_the_mesh_has_a_session_per_family_that_both_ends_have(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.2/24", "fd00::2/64"),
        make.node("low", "10.0.0.1/24", as_number=65001),
        make.node("high", "10.0.0.3/24", "fd00::3/64"),
        make.node("v6", "", "fd00::1/64"),
        make.node("none"),
    )
    assert world.state.bgp == BGPNode(
        node="here",
        router_id="10.0.0.2",
        as_number=64512,
        address4=Cidr.host("10.0.0.2"),
        address6=Cidr.host("fd00::2"),
        sessions=(
            Session("Mesh_10_0_0_1", Cidr.host("10.0.0.1"), 65001),
            Session("Mesh_10_0_0_3", Cidr.host("10.0.0.3"), 64512, passive=True),
            Session("Mesh_fd00__1", Cidr.host("fd00::1"), 64512),
            Session("Mesh_fd00__3", Cidr.host("fd00::3"), 64512, passive=True),
        ),
    )


def test_the_passive_side_goes_by_address_text_not_by_number(make, world) -> None:
    world.go(make.node("here", "10.0.0.9/24"), make.node("there", "10.0.0.10/24"))
    assert not sessions(world)["Mesh_10_0_0_10"].passive


def test_a_node_without_ipv4_has_a_stable_router_id(make, world) -> None:
    world.go(make.node("here", "", "fd00::1/64"))
    first = world.state.bgp.router_id
    assert first == ".".join(str(byte) for byte in hashlib.sha256(b"here").digest()[:4])
    world.go(make.node("here", "", "fd00::2/64"))
    assert world.state.bgp.router_id == first


def test_settings_of_the_cluster_and_of_one_node(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.node("there", "10.0.0.2/24"),
        make.bgp_configuration(as_number="1.2", listen_port=1179),
        make.bgp_configuration("node.there", listen_port=2179),
    )
    assert (world.state.bgp.as_number, world.state.bgp.listen_port) == (65538, 1179)
    assert sessions(world)["Mesh_10_0_0_2"].port == 2179
    world.go(make.bgp_configuration(node_to_node_mesh_enabled=False))
    assert not sessions(world)


def test_route_reflectors_take_no_part_in_the_mesh(make, world) -> None:
    reflector = make.node("rr", "10.0.0.2/24", route_reflector_cluster_id="1.0.0.1")
    world.go(make.node("here", "10.0.0.1/24"), reflector, make.node("there", "10.0.0.3/24"))
    assert set(sessions(world)) == {"Mesh_10_0_0_3"}
    world.go(make.node("here", "10.0.0.1/24", route_reflector_cluster_id="1.0.0.1"))
    assert not sessions(world)


def test_peers_of_all_nodes_come_before_those_of_some(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24", labels={"rack": "a"}),
        make.peer("a-mine", node="here", peer_ip="10.9.0.1", as_number=2),
        make.peer("b-all", peer_ip="10.9.0.1", as_number=1),
        make.peer("rack-a", node_selector="rack == 'a'", peer_ip="10.9.0.2:1179", as_number=3),
        make.peer("rack-b", node_selector="rack == 'b'", peer_ip="10.9.0.3", as_number=3),
    )
    assert list(sessions(world).values()) == [
        Session("Global_10_9_0_1", Cidr.host("10.9.0.1"), 1),
        Session("Node_10_9_0_2", Cidr.host("10.9.0.2"), 3, port=1179),
    ]


def test_both_ends_of_a_peering_between_nodes_get_a_session(make, new_world) -> None:
    resources = (
        make.bgp_configuration(node_to_node_mesh_enabled=False),
        make.node("rr", "10.0.0.1/24", labels={"rr": "1"}, route_reflector_cluster_id="1.0.0.1"),
        make.node("here", "10.0.0.2/24"),
        make.node("there", "10.0.0.3/24"),
        make.peer("to-rr", node_selector="!has(rr)", peer_selector="has(rr)"),
    )
    ends = {}
    for name in ("here", "rr"):
        world = new_world(name)
        world.go(*resources)
        ends[name] = {session.peer.text: session.passive for session in world.state.bgp.sessions}
    assert ends == {"here": {"10.0.0.1": False}, "rr": {"10.0.0.2": True, "10.0.0.3": True}}


def test_manual_reverse_peering_asks_nothing_of_the_other_end(make, new_world) -> None:
    world = new_world("rr")
    world.go(
        make.bgp_configuration(node_to_node_mesh_enabled=False),
        make.node("rr", "10.0.0.1/24", labels={"rr": "1"}),
        make.node("here", "10.0.0.2/24"),
        make.peer("to-rr", node_selector="!has(rr)", peer_selector="has(rr)", reverse_peering="Manual"),
    )
    assert not sessions(world)


def test_only_confirmed_blocks_of_this_node_are_announced(make, world) -> None:
    for key, value in (
        make.affinity("here", "10.1.0.0/26"),
        make.affinity("here", "10.1.0.64/26", state="pending"),
        make.affinity("there", "10.1.0.128/26"),
    ):
        world.calculation.update(key, value)
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.pool("b", "10.1.0.0/16"),
        make.pool("a", "10.2.0.0/16", disable_bgp_export=True, disabled=True),
    )
    assert world.state.bgp.blocks == (Cidr.parse("10.1.0.0/26"),)
    assert world.state.bgp.pools == (Pool(Cidr.parse("10.1.0.0/16")), Pool(Cidr.parse("10.2.0.0/16"), export=False))


def test_nothing_is_said_when_nothing_changes(make, world) -> None:
    world.go(make.node("here", "10.0.0.1/24"))
    assert world.go(make.node("here", "10.0.0.1/24")).bgp is msgspec.UNSET
    relabelled = make.node("here", "10.0.0.1/24", labels={"a": "b"})
    assert world.go(relabelled).bgp is msgspec.UNSET


def test_what_cannot_be_read_counts_as_absent(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.node("there", "nonsense"),
        make.peer("bad", peer_ip="nonsense"),
        make.peer("worse", peer_selector="((("),
        make.pool("pool", "nonsense"),
        make.bgp_configuration(as_number="nonsense"),
    )
    assert world.state.bgp.as_number == 64512
    assert not world.state.bgp.sessions
    kinds = [key.kind for key in world.calculation.problems.current]
    assert sorted(kinds) == ["BGPConfiguration", "BGPPeer", "BGPPeer", "IPPool", "Node"]


@pytest.mark.parametrize(
    "asked",
    [
        {"password": BGPPassword(secret_key_ref=SecretKeyRef(name="s", key="k"))},
        {"filters": ("none-in",)},
        {"ttl_security": 1},
        {"next_hop_mode": "Self"},
        {"local_as_number": 65001},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_a_peer_that_asks_for_what_is_not_carried_out_gets_no_session_and_says_why(make, world, asked) -> None:
    world.go(make.node("here", "10.0.0.1/24"), make.peer("plain", peer_ip="10.9.0.1", as_number=65000))
    world.go(make.peer("guarded", peer_ip="10.9.0.2", as_number=65000, **asked))
    assert list(sessions(world)) == ["Global_10_9_0_1"]
    problem = world.calculation.problems.current[ResourceKey("BGPPeer", "", "guarded")]
    assert next(iter(asked)) in problem


def test_as_numbers_and_addresses_in_every_spelling() -> None:
    assert [as_number(text) for text in (7, "7", "1.0")] == [7, 7, 65536]
    assert split_address("10.0.0.1:179") == (Cidr.host("10.0.0.1"), 179)
    assert split_address("[fd00::1]:1179") == (Cidr.host("fd00::1"), 1179)
    assert split_address("fd00::1") == (Cidr.host("fd00::1"), 0)
    with pytest.raises(ValueError, match="nonsense"):
        split_address("nonsense")
