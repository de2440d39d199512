"""BGP sessions and announcements of one node."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from tortie.api.bgp import BGPPassword, Community, PrefixAdvertisement, SecretKeyRef
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.bgpsettings import as_number
from tortie.calculation.graph import Calculation
from tortie.calculation.peerspec import split_address
from tortie.desired.bgp import Advertisement, Bfd, BGPNode, NextHop, Password, Pool, Session


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
    assert sessions(world)["Mesh_10_0_0_2_port_2179"].port == 2179
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
        Session("Node_10_9_0_2_port_1179", Cidr.host("10.9.0.2"), 3, port=1179),
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
    assert ends == {"here": {"10.0.0.1": False}, "rr": {"10.0.0.2": False, "10.0.0.3": False}}


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


def guarded(make, world, **asked: object) -> Session:
    world.go(make.node("here", "10.0.0.1/24"), make.peer("guarded", peer_ip="10.9.0.2", as_number=65000, **asked))
    return sessions(world)["Global_10_9_0_2"]


KEPT = BGPPassword(secret_key_ref=SecretKeyRef(name="s", key="k"))


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"password": KEPT}, {"password": Password("s", "k")}),
        ({"ttl_security": 1}, {"hops": 1}),
        ({"ttl_security": 0}, {"hops": None}),
        ({"next_hop_mode": "Self"}, {"next_hop": NextHop.SELF}),
        ({"next_hop_mode": "Keep"}, {"next_hop": NextHop.KEEP}),
        ({"next_hop_mode": "Auto"}, {"next_hop": NextHop.AUTO}),
        ({"keep_original_next_hop": True}, {"next_hop": NextHop.KEEP}),
        ({"keep_original_next_hop": True, "local_as_number": 65000}, {"next_hop": NextHop.AUTO}),
        ({"local_as_number": "1.1"}, {"local_as": 65537}),
        ({"source_address": "None"}, {"source": False}),
        ({"source_address": "UseNodeIP"}, {"source": True}),
        ({"max_restart_time": "1m30s"}, {"restart_time": 90}),
        ({"keepalive_time": "20s"}, {"keepalive": 20}),
        ({"num_allowed_local_as_numbers": 2}, {"allowed_local_as": 2}),
        ({"reachable_by": "10.0.0.254"}, {"gateway": Cidr.host("10.0.0.254")}),
    ],
    ids=str,
)
def test_what_a_peer_says_of_its_session_is_carried_out(make, world, asked, given) -> None:
    session = guarded(make, world, **asked)
    assert {field: getattr(session, field) for field in given} == given
    assert not world.calculation.problems.current


def test_a_session_whose_filter_is_missing_is_not_started_until_it_is_there(make, world) -> None:
    session = guarded(make, world, filters=("careful",))
    assert (session.filters, session.withheld) == (("careful",), "filter careful cannot be used")
    assert "careful" in world.calculation.problems.current[ResourceKey("BGPPeer", "", "guarded")]
    world.go(make.bgp_filter("careful", import_v4=(make.bgp_rule(action="Reject"),)))
    assert not sessions(world)["Global_10_9_0_2"].withheld
    assert not world.calculation.problems.current
    world.go(make.bgp_filter("careful", import_v4=(make.bgp_rule(action="Reject", cidr="x", match_operator="In"),)))
    assert sessions(world)["Global_10_9_0_2"].withheld
    assert {key.kind for key in world.calculation.problems.current} == {"BGPFilter", "BGPPeer"}


@pytest.mark.parametrize(
    "asked",
    [
        {"max_restart_time": "soon"},
        {"keepalive_time": "20h"},
        {"local_as_number": "x"},
        {"reachable_by": "x"},
        {"password": BGPPassword(secret_key_ref=SecretKeyRef(name="../etc", key="shadow"))},
        {"local_workload_selector": "all()"},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_a_peer_that_cannot_be_carried_out_gets_no_session_and_says_why(make, world, asked) -> None:
    world.go(make.node("here", "10.0.0.1/24"), make.peer("plain", peer_ip="10.9.0.1", as_number=65000))
    world.go(make.peer("guarded", peer_ip="10.9.0.2", as_number=65000, **asked))
    assert list(sessions(world)) == ["Global_10_9_0_1"]
    assert ResourceKey("BGPPeer", "", "guarded") in world.calculation.problems.current


def test_the_mesh_has_a_password_and_a_restart_time_of_its_own(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.node("there", "10.0.0.2/24"),
        make.bgp_configuration(node_mesh_password=KEPT, node_mesh_max_restart_time="10s"),
        make.peer("plain", peer_ip="10.9.0.1"),
    )
    found = {name: (one.password, one.restart_time) for name, one in sessions(world).items()}
    assert found == {"Mesh_10_0_0_2": (Password("s", "k"), 10), "Global_10_9_0_1": (None, None)}


def test_a_reflector_reflects_inside_its_as_to_all_but_reflectors_of_its_cluster(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24", route_reflector_cluster_id="1.0.0.1"),
        make.node("same", "10.0.0.2/24", route_reflector_cluster_id="1.0.0.1"),
        make.node("other", "10.0.0.3/24", route_reflector_cluster_id="1.0.0.2"),
        make.node("plain", "10.0.0.4/24"),
        make.peer("nodes", node="here", peer_selector="all()"),
        make.peer("inside", peer_ip="10.9.0.1"),
        make.peer("outside", peer_ip="10.9.0.2", as_number=1),
    )
    assert world.state.bgp.cluster_id == "1.0.0.1"
    assert {one.peer.text for one in world.state.bgp.sessions if one.reflect} == {"10.0.0.3", "10.0.0.4", "10.9.0.1"}


def test_the_node_that_others_peer_with_by_address_gets_the_other_ends_of_that_family(make, new_world) -> None:
    resources = (
        make.bgp_configuration(node_to_node_mesh_enabled=False),
        make.node("rr", "10.0.0.1/24", "fd00::1/64"),
        make.node("here", "10.0.0.2/24", "fd00::2/64"),
        make.node("there", "10.0.0.3/24", "fd00::3/64"),
        make.peer("to-rr", node="here", peer_ip="fd00::1", local_as_number=65009, reachable_by="fd00::9"),
        make.peer("other-as", node="there", peer_ip="fd00::1", as_number=1),
        make.peer("other-port", node="there", peer_ip="[fd00::1]:1179"),
    )
    world = new_world("rr")
    world.go(*resources)
    # The other end shows another AS number, and this one the node's own.
    assert list(sessions(world).values()) == [Session("Node_fd00__2", Cidr.host("fd00::2"), 65009)]


def test_sessions_with_one_address_and_several_ports_have_names_of_their_own(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.peer("a", peer_ip="10.9.0.1"),
        make.peer("b", peer_ip="10.9.0.1:1179"),
    )
    assert set(sessions(world)) == {"Global_10_9_0_1", "Global_10_9_0_1_port_1179"}


def test_of_two_nodes_that_all_peer_with_the_one_with_the_lower_address_text_waits(make, new_world) -> None:
    waits = {}
    for name, other in (("here", "10.0.0.2"), ("there", "10.0.0.1")):
        world = new_world(name)
        world.go(
            make.bgp_configuration(node_to_node_mesh_enabled=False),
            make.node("here", "10.0.0.1/24"),
            make.node("there", "10.0.0.2/24"),
            make.peer("a", peer_ip="10.0.0.1"),
            make.peer("b", peer_ip="10.0.0.2"),
        )
        waits[name] = sessions(world)[f"Global_{other.replace('.', '_')}"].passive
    assert waits == {"here": True, "there": False}


@pytest.mark.parametrize(
    ("programming", "programmed"),
    [
        (None, {"plain"}),
        ("EnabledNoEncapOnly", {"plain"}),
        ("EnabledIPIPOnly", {"ipip"}),
        ("Enabled", {"plain", "ipip"}),
        ("Disabled", set()),
    ],
)
def test_routes_of_pools_are_programmed_as_the_settings_say_and_those_of_vxlan_never(
    make, world, programming, programmed
) -> None:
    pools = {
        "plain": make.pool("plain", "10.1.0.0/16", ipip_mode="Never"),
        "ipip": make.pool("ipip", "10.2.0.0/16", ipip_mode="CrossSubnet"),
        "vxlan": make.pool("vxlan", "10.3.0.0/16", vxlan_mode="Always"),
    }
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.bgp_configuration(program_cluster_routes=programming),
        *pools.values(),
    )
    found = {str(pool.cidr) for pool in world.state.bgp.pools if pool.program}
    assert found == {pools[name].spec.cidr for name in programmed}
    assert world.state.bgp.programs_ipip == ("ipip" in programmed)


@pytest.mark.parametrize(("router_id", "found"), [("", "10.0.0.1"), ("1.2.3.4", "1.2.3.4"), ("hash", None)])
def test_the_identity_is_the_address_or_what_is_set(make, router_id, found) -> None:
    calculation = Calculation("here", router_id=router_id)
    calculation.set_in_sync()
    node = make.node("here", "10.0.0.1/24")
    calculation.update(node.key, node)
    hashed = ".".join(str(byte) for byte in hashlib.sha256(b"here").digest()[:4])
    assert calculation.flush().bgp.router_id == (found or hashed)


def test_settings_that_only_the_speaker_needs(make, world) -> None:
    world.go(
        make.node("here", "10.0.0.1/24"),
        make.bgp_configuration(
            bind_mode="NodeIP",
            ignored_interfaces=("eth*",),
            log_severity_screen="Warn",
            ipv4_normal_route_priority=100,
            prefix_advertisements=(PrefixAdvertisement(cidr="10.1.0.0/16", communities=("named", "1:2:3")),),
            communities=(Community(name="named", value="65001:7"),),
        ),
    )
    bgp = world.state.bgp
    assert (bgp.bind, bgp.ignored_interfaces, bgp.log_severity) == (True, ("eth*",), "Warning")
    assert (bgp.normal_priority4, bgp.normal_priority6) == (100, 1024)
    assert bgp.advertisements == (Advertisement(Cidr.parse("10.1.0.0/16"), ((65001, 7), (1, 2, 3))),)
    own = PrefixAdvertisement(cidr="10.2.0.0/16", communities=("1:1",))
    world.go(make.bgp_configuration("node.here", log_severity_screen="Debug", prefix_advertisements=(own,)))
    assert world.state.bgp.log_severity == "Debug"
    assert world.state.bgp.advertisements == (Advertisement(Cidr.parse("10.2.0.0/16"), ((1, 1),)),)


def test_as_numbers_and_addresses_in_every_spelling() -> None:
    assert [as_number(text) for text in (7, "7", "1.0")] == [7, 7, 65536]
    assert split_address("10.0.0.1:179") == (Cidr.host("10.0.0.1"), 179)
    assert split_address("[fd00::1]:1179") == (Cidr.host("fd00::1"), 1179)
    assert split_address("fd00::1") == (Cidr.host("fd00::1"), 0)
    with pytest.raises(ValueError, match="nonsense"):
        split_address("nonsense")


def test_bfd_is_asked_for_by_annotations_of_peers_and_of_the_mesh(make, new_world) -> None:
    peer = make.peer("tor", peer_ip="10.9.0.1", as_number=1)
    mesh = make.bgp_configuration()

    def annotated(resource, **annotations: str):
        named = {f"tortie/{name.replace('_', '-')}": text for name, text in annotations.items()}
        metadata = msgspec.structs.replace(resource.metadata, annotations=named)
        return msgspec.structs.replace(resource, metadata=metadata)

    world = new_world("here")
    nodes = make.node("here", "10.0.0.1/24", "fd00::1/64"), make.node("there", "10.0.0.2/24", "fd00::2/64")
    world.go(*nodes, peer, mesh)
    assert {session.bfd for session in sessions(world).values()} == {None}
    world.go(annotated(peer, bfd="SingleHop", bfd_interval="50ms", bfd_multiplier="4"))
    assert sessions(world)["Global_10_9_0_1"].bfd == Bfd(50, 4, direct=True)
    assert sessions(world)["Mesh_10_0_0_2"].bfd is None
    world.go(annotated(mesh, bfd="MultiHop"), annotated(peer, bfd="Disabled"))
    assert sessions(world)["Global_10_9_0_1"].bfd is None
    assert sessions(world)["Mesh_10_0_0_2"].bfd == Bfd(300, 3)
    world.go(annotated(mesh, extended_next_hop="Enabled"))
    assert {name: session.families for name, session in sessions(world).items()} == {
        "Global_10_9_0_1": (4,),
        "Mesh_fd00__2": (4, 6),
    }
    world.go(make.node("there", "10.0.0.2/24"))
    assert sessions(world)["Mesh_10_0_0_2"].families == (4,), "without IPv6 the session over IPv4 stays"


def test_the_other_end_of_a_peering_between_nodes_has_bfd_too(make, new_world) -> None:
    peer = make.peer("to-rr", node_selector="!has(rr)", peer_selector="has(rr)")
    metadata = msgspec.structs.replace(peer.metadata, annotations={"tortie/bfd": "MultiHop"})
    for name in ("here", "rr"):
        world = new_world(name)
        world.go(
            make.bgp_configuration(node_to_node_mesh_enabled=False),
            make.node("rr", "10.0.0.1/24", labels={"rr": "1"}),
            make.node("here", "10.0.0.2/24"),
            msgspec.structs.replace(peer, metadata=metadata),
        )
        assert [session.bfd for session in sessions(world).values()] == [Bfd(300, 3)]
