"""What the packet filter is told of the network: only what it needs, and only what differs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api.bgp import CidrEntry
from tortie.api.node import Node, NodeAddress, NodeStatus
from tortie.api.workloadendpoint import IPNAT, QoSControls
from tortie.base.addresses import Cidr
from tortie.calculation.codepoints import code_point
from tortie.calculation.graph import Calculation
from tortie.desired.network import NODES, VXLAN_PEERS, FloatingAddress, Network, Tunnels, code_point_set


def node(make: Any, name: str, ipv4: str, tunnel: str = "", key: str = "") -> Node:
    made = make.node(name, ipv4)
    spec = msgspec.structs.replace(made.spec, ipv4_vxlan_tunnel_addr=tunnel)
    return msgspec.structs.replace(made, spec=spec, status=NodeStatus(wireguard_public_key=key))


def test_who_may_send_ip_in_ip_are_the_other_nodes_while_a_pool_uses_it(world: Any, make: Any) -> None:
    nodes = make.node("here", "10.9.0.1/24"), make.node("there", "10.9.0.2/24", "fd00:9::2/64")
    world.go(*nodes)
    assert world.state.network == Network() and not world.state.sets
    pool = make.pool("p", "10.0.0.0/16", ipip_mode="CrossSubnet")
    world.go(pool)
    assert world.state.network.tunnels == Tunnels(ipip=True)
    assert world.members() == {NODES: {"10.9.0.2", "fd00:9::2"}}
    world.remove(pool)
    world.flush()
    assert world.state.network == Network() and not world.state.sets


def test_a_tunnel_that_no_pool_asks_for_stays_while_this_node_has_an_end_of_it(world: Any, make: Any) -> None:
    bare = make.node("here", "10.9.0.1/24")
    world.go(bare, node(make, "there", "10.9.0.2/24", "10.0.2.0"))
    assert not world.state.network.tunnels
    speaker = msgspec.structs.replace(bare.spec.bgp, ipv4_ipip_tunnel_addr="10.0.1.1")
    spec = msgspec.structs.replace(bare.spec, bgp=speaker, ipv4_vxlan_tunnel_addr="10.0.1.0")
    world.go(msgspec.structs.replace(bare, spec=spec))
    assert world.state.network.tunnels == Tunnels(ipip=True, vxlan=(4,))
    assert world.members() == {NODES: {"10.9.0.2"}, VXLAN_PEERS: {"10.9.0.2"}}
    world.go(bare)
    assert not world.state.network.tunnels and not world.state.sets


def test_who_may_send_vxlan_has_an_end_of_a_tunnel(world: Any, make: Any) -> None:
    pools = make.pool("p", "10.0.0.0/16", vxlan_mode="Always"), make.pool("q", "fd00::/64", ipip_mode="Always")
    world.go(*pools, node(make, "there", "10.9.0.2/24"), node(make, "yonder", "10.9.0.3/24", "10.0.3.0"))
    assert world.state.network.tunnels == Tunnels(vxlan=(4,))
    assert world.members() == {VXLAN_PEERS: {"10.9.0.3"}}


def test_who_may_send_vxlan_is_who_vxlan_is_sent_to(world: Any, make: Any) -> None:
    bare = node(make, "yonder", "", "10.0.3.0")
    internal = NodeAddress(address="10.9.0.3", type="InternalIP")
    bare = msgspec.structs.replace(bare, spec=msgspec.structs.replace(bare.spec, addresses=(internal,)))
    world.go(make.pool("p", "10.0.0.0/16", vxlan_mode="Always"), bare, node(make, "there", "10.9.0.2/24", "10.0.2.0"))
    assert world.members()[VXLAN_PEERS] == {one.parent.text for one in world.state.vteps.values()}


def test_a_node_that_comes_or_goes_is_one_difference_of_one_set(world: Any, make: Any) -> None:
    world.go(make.pool("p", "10.0.0.0/16", ipip_mode="Always"), make.node("there", "10.9.0.2/24"))
    delta = world.go(make.node("yonder", "10.9.0.3/24"))
    assert delta.network is msgspec.UNSET and not delta.sets
    (change,) = delta.set_changes
    assert (change.added.hosts4, change.removed.hosts4) == (bytes((10, 9, 0, 3)), b"")
    world.remove(make.node("there"))
    world.flush()
    assert world.only_set() == {"10.9.0.3"}


def test_wireguard_is_used_where_this_node_has_a_key(world: Any, make: Any) -> None:
    world.go(node(make, "there", "10.9.0.2/24", key="k"))
    assert not world.state.network.tunnels
    world.go(node(make, "here", "10.9.0.1/24", key="k"))
    assert world.state.network.tunnels == Tunnels(wireguard=(4,))


def test_what_cannot_be_read_counts_as_absent_until_it_can(world: Any, make: Any) -> None:
    world.go(make.pool("p", "10.0.0.0/16", ipip_mode="Always"), make.node("there", "10.9.0.2/24"))
    world.go(make.node("there", "nonsense"))
    assert world.only_set() == set()
    assert [key.name for key in world.calculation.problems.current] == ["there"]
    world.go(make.node("there", "10.9.0.4/24"))
    assert world.only_set() == {"10.9.0.4"}


def test_pools_of_load_balancers_are_outside(world: Any, make: Any) -> None:
    world.go(
        make.pool("p", "10.0.0.0/16", nat_outgoing=True, allowed_uses=("Workload", "Tunnel")),
        make.pool("q", "10.1.0.0/16", disabled=True),
        make.pool("r", "10.2.0.0/16", nat_outgoing=True, allowed_uses=("LoadBalancer",)),
        make.node("there", "10.9.0.2/24"),
    )
    network = world.state.network
    assert [str(one) for one in network.pools] == ["10.0.0.0/16", "10.1.0.0/16"]
    assert [str(one) for one in network.masqueraded] == ["10.0.0.0/16"]
    assert world.members() == {NODES: {"10.9.0.2"}}


def test_services_are_those_of_the_default_configuration(world: Any, make: Any) -> None:
    entries = [(CidrEntry(cidr=text),) for text in ("10.96.0.0/12", "192.0.2.0/24", "fd00:96::/108")]
    lists = dict(
        zip(("service_cluster_ips", "service_external_ips", "service_load_balancer_ips"), entries, strict=True)
    )
    world.go(make.bgp_configuration("node.here", **lists))
    assert not world.state.network.services
    world.go(make.bgp_configuration(**lists))
    assert [str(one) for one in world.state.network.services] == ["10.96.0.0/12", "192.0.2.0/24", "fd00:96::/108"]
    world.remove(make.bgp_configuration())
    world.flush()
    assert world.state.network == Network()


def nat(external: str, internal: str) -> IPNAT:
    return IPNAT(external_ip=external, internal_ip=internal)


def test_a_floating_address_is_routed_and_of_several_internal_ones_the_lowest_counts(world: Any, make: Any) -> None:
    high = make.endpoint("a", "10.0.0.9", ip_nats=(nat("192.0.2.1", "10.0.0.9"),))
    low = make.endpoint("b", "10.0.0.3", ip_nats=(nat("192.0.2.1", "10.0.0.3"), nat("192.0.2.2", "10.0.0.3")))
    elsewhere = make.endpoint("c", "10.0.0.4", ip_nats=(nat("192.0.2.3", "10.0.0.4"),), node="there")
    world.go(high, low, elsewhere)
    first, second = (Cidr.host(f"192.0.2.{n}") for n in (1, 2))
    three = Cidr.host("10.0.0.3")
    assert world.state.network.floating == (FloatingAddress(first, three), FloatingAddress(second, three))
    assert world.state.routes[second].interface == "calib"
    assert first in world.state.routes
    world.remove(low)
    world.flush()
    assert world.state.network.floating == (FloatingAddress(first, Cidr.host("10.0.0.9")),)
    assert second not in world.state.routes


def test_floating_addresses_are_not_heard_where_they_are_not_wanted(make: Any) -> None:
    calculation = Calculation("here")
    calculation.set_in_sync()
    one = make.endpoint("a", "10.0.0.9", ip_nats=(nat("192.0.2.1", "10.0.0.9"),))
    calculation.update(one.key, one)
    delta = calculation.flush()
    assert delta.network is msgspec.UNSET
    assert [str(route.destination) for route in delta.routes] == ["10.0.0.9/32"]


def test_who_asks_for_a_code_point_is_in_its_set(world: Any, make: Any) -> None:
    world.go(
        make.endpoint("a", "10.0.0.1", "fd00::1", qos_controls=QoSControls(dscp="ef")),
        make.endpoint("b", "10.0.0.2", qos_controls=QoSControls(dscp=46)),
        make.endpoint("c", "10.0.0.3", qos_controls=QoSControls(dscp="AF41")),
        make.endpoint("d", "10.0.0.4", qos_controls=QoSControls(ingress_bandwidth=10**6)),
    )
    assert world.state.network.code_points == (34, 46)
    assert world.members() == {
        code_point_set(34): {"10.0.0.3"},
        code_point_set(46): {"10.0.0.1", "10.0.0.2", "fd00::1"},
    }


def test_an_endpoint_that_asks_for_what_cannot_be_counts_as_absent(world: Any, make: Any) -> None:
    mixed = make.endpoint("a", "10.0.0.1", ip_nats=(nat("fd00::1", "10.0.0.1"),))
    world.go(mixed, make.endpoint("b", "10.0.0.2", qos_controls=QoSControls(dscp="EF2")))
    assert not world.state.endpoints
    assert len(world.calculation.problems.current) == 2
    world.go(make.endpoint("b", "10.0.0.2"))
    assert len(world.state.endpoints) == 1


def test_code_points_have_names_and_numbers() -> None:
    named = {"DF": 0, "ef": 46, "AF11": 10, "AF43": 38, "CS0": 0, "cs6": 48, "63": 63, "0": 0}
    assert {text: code_point(text) for text in named} == named
    assert code_point(None) is None
    for wrong in (64, -1, "CS7", "AF44", "AF51", "64", "", "EF1"):
        with pytest.raises(ValueError, match="no code point"):
            code_point(wrong)


def test_sources_of_others_are_only_heard_where_that_is_permitted(world: Any, make: Any) -> None:
    one = make.endpoint("a", "10.0.0.1", allow_spoofed_source_prefixes=("192.0.2.0/24", "fd00::/64"))
    world.go(one)
    (endpoint,) = world.state.endpoints.values()
    assert endpoint.allowed_sources == (Cidr.parse("192.0.2.0/24"), Cidr.parse("fd00::/64"))
    strict = Calculation("here")
    strict.set_in_sync()
    strict.update(one.key, one)
    assert strict.flush().endpoints[0].allowed_sources == ()


def test_hosts_ask_for_code_points_by_an_annotation(world: Any, make: Any) -> None:
    def host(value: str) -> Any:
        made = make.host("h", "192.0.2.1", "fd00::7")
        metadata = msgspec.structs.replace(made.metadata, annotations={"qos.projectcalico.org/dscp": value})
        return msgspec.structs.replace(made, metadata=metadata)

    world.go(host("EF"))
    assert world.members() == {code_point_set(46): {"192.0.2.1", "fd00::7"}}
    world.go(host("0"))
    assert set(world.members()) == {code_point_set(0)}
    world.go(host("nonsense"))
    assert not world.state.network.code_points
    assert not world.state.host_endpoints
    world.go(make.host("h", "192.0.2.1"))
    assert world.state.host_endpoints
    world.remove(host("EF"))
    world.flush()
    assert world.calculation.is_empty()
