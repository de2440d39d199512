"""Where prefixes of the cluster are: blocks, borrowed addresses, hosts, tunnels; and what a change touches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api.ipam import BlockAttribute, IPAMBlock
from tortie.api.node import Node, NodeAddress
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.macs import tunnel_mac
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds, Vtep, VtepId


def node(make: Any, name: str, ipv4: str = "", ipv6: str = "", **spec: Any) -> Node:
    made = make.node(name, ipv4, ipv6)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, **spec))


def put_block(world: Any, cidr: str, owner: str | None, **held: str) -> None:
    """A block; `held` are ordinals (`_2`) and nodes."""
    attributes = tuple(BlockAttribute(secondary={"node": name}) for name in held.values())
    allocations: list[int | None] = [None] * 4
    for index, ordinal in enumerate(held):
        allocations[int(ordinal.strip("_"))] = index
    block = IPAMBlock(cidr=cidr, affinity=owner, allocations=tuple(allocations), attributes=attributes)
    world.calculation.update(ResourceKey("IPAMBlock", "", cidr), block)


def route(world: Any, text: str) -> ClusterRoute:
    found: ClusterRoute = world.state.cluster_routes[Cidr.parse(text)]
    return found


@pytest.fixture
def cluster(world: Any, make: Any) -> Any:
    """Three nodes, two of them in one subnet, and a pool that encapsulates between subnets."""
    world.put(
        make.pool("p", "10.0.0.0/16", vxlan_mode="CrossSubnet"),
        node(make, "here", "192.0.2.1/24", "fd00:9::1/64", ipv4_vxlan_tunnel_addr="10.0.1.0"),
        node(make, "near", "192.0.2.2/24", ipv4_vxlan_tunnel_addr="10.0.2.0"),
        node(make, "far", "198.51.100.2/24", ipv4_vxlan_tunnel_addr="10.0.3.0"),
    )
    put_block(world, "10.0.1.0/30", "host:here")
    put_block(world, "10.0.2.0/30", "host:near")
    put_block(world, "10.0.3.0/30", "host:far")
    world.flush()
    return world


def test_only_nodes_of_the_own_subnet_are_near(cluster: Any, make: Any) -> None:
    near, far = route(cluster, "10.0.2.0/30"), route(cluster, "10.0.3.0/30")
    assert (near.same_subnet, far.same_subnet) == (True, False)
    assert near.address == Cidr.host("192.0.2.2")
    assert not route(cluster, "10.0.1.0/30").same_subnet
    cluster.go(make.pool("p", "10.0.0.0/16", vxlan_mode="Always"))
    assert not route(cluster, "10.0.2.0/30").same_subnet


def test_another_prefix_length_of_the_own_address_moves_the_others(cluster: Any, make: Any) -> None:
    delta = cluster.go(node(make, "here", "192.0.2.1/32", ipv4_vxlan_tunnel_addr="10.0.1.0"))
    assert not route(cluster, "10.0.2.0/30").same_subnet
    assert Cidr.parse("10.0.3.0/30") not in {one.destination for one in delta.cluster_routes}


def test_an_address_that_moves_to_another_host_is_one_route_more(cluster: Any) -> None:
    put_block(cluster, "10.0.2.0/30", "host:near", _1="near", _2="far", _3="here")
    delta = cluster.flush()
    assert [str(one.destination) for one in delta.cluster_routes] == ["10.0.2.2/32", "10.0.2.3/32"]
    lent = route(cluster, "10.0.2.2/32")
    assert (lent.node, lent.borrowed, lent.kinds, lent.same_subnet) == ("far", True, Kinds.REMOTE_WORKLOAD, False)
    assert route(cluster, "10.0.2.3/32").kinds == Kinds.LOCAL_WORKLOAD | Kinds.REMOTE_WORKLOAD
    put_block(cluster, "10.0.2.0/30", "host:near")
    assert len(cluster.flush().removed_cluster_routes) == 2


def test_what_blocks_say_of_addresses_holds_without_an_owner_of_the_block_too(cluster: Any) -> None:
    put_block(cluster, "10.0.2.0/30", None, _1="near")
    cluster.flush()
    assert Cidr.parse("10.0.2.0/30") not in cluster.state.cluster_routes
    left = route(cluster, "10.0.2.1/32")
    assert (left.node, left.borrowed) == ("near", False)


def test_an_endpoint_of_this_node_has_its_address_whatever_blocks_say(cluster: Any, make: Any) -> None:
    put_block(cluster, "10.0.2.0/30", "host:near", _1="far")
    endpoint = make.endpoint("a", "10.0.2.1")
    cluster.go(endpoint)
    assert (route(cluster, "10.0.2.1/32").node, route(cluster, "10.0.2.1/32").attached) == ("here", True)
    cluster.go(make.endpoint("a", "10.0.2.1", node="far"))
    assert (route(cluster, "10.0.2.1/32").node, route(cluster, "10.0.2.1/32").attached) == ("far", False)


def test_a_change_of_one_node_tells_of_its_own_prefixes_alone(cluster: Any, make: Any) -> None:
    delta = cluster.go(node(make, "far", "198.51.100.9/24", ipv4_vxlan_tunnel_addr="10.0.3.0"))
    told = {str(one.destination) for one in delta.cluster_routes}
    assert told == {"10.0.3.0/30", "10.0.3.0/32", "198.51.100.9/32"}
    assert [one.id for one in delta.vteps] == [VtepId("far", 4)]
    assert [str(one) for one in delta.removed_cluster_routes] == ["198.51.100.2/32"]


def test_a_pool_inside_another_decides_for_what_is_in_it(cluster: Any, make: Any) -> None:
    inner = make.pool("q", "10.0.3.0/24", ipip_mode="Always", nat_outgoing=True)
    delta = cluster.go(inner)
    assert Cidr.parse("10.0.2.0/30") not in {one.destination for one in delta.cluster_routes}
    found = route(cluster, "10.0.3.0/30")
    assert (found.encapsulation, found.masqueraded) == (Encapsulation.IPIP, True)
    cluster.remove(inner)
    cluster.flush()
    assert route(cluster, "10.0.3.0/30").encapsulation is Encapsulation.VXLAN


def test_addresses_of_load_balancers_are_at_no_node(world: Any, make: Any) -> None:
    world.put(make.pool("l", "10.5.0.0/16", allowed_uses=("LoadBalancer",)))
    put_block(world, "10.5.0.0/30", "virtual:load-balancer")
    world.flush()
    assert {str(one) for one in world.state.cluster_routes} == {"10.5.0.0/16"}
    assert route(world, "10.5.0.0/16").encapsulation is Encapsulation.NONE


def test_a_node_without_a_bgp_address_is_reached_by_its_internal_one(world: Any, make: Any) -> None:
    addresses = (
        NodeAddress(address="203.0.113.9", type="ExternalIP"),
        NodeAddress(address="192.0.2.9", type="InternalIP"),
    )
    bare = msgspec.structs.replace(make.node("bare"), spec=node(make, "bare", addresses=addresses).spec)
    world.go(msgspec.structs.replace(bare, spec=msgspec.structs.replace(bare.spec, ipv4_vxlan_tunnel_addr="10.0.9.0")))
    assert world.state.vteps == {
        VtepId("bare", 4): Vtep(VtepId("bare", 4), Cidr.host("10.0.9.0"), tunnel_mac("bare", 4), Cidr.host("192.0.2.9"))
    }
    assert route(world, "203.0.113.9").kinds == Kinds.REMOTE_HOST


def test_a_block_that_cannot_be_read_counts_as_absent(cluster: Any) -> None:
    key = ResourceKey("IPAMBlock", "", "10.0.2.0/30")
    cluster.calculation.update(key, IPAMBlock(cidr="10.0.2.0/30", affinity="host:near", allocations=(7,)))
    cluster.flush()
    assert key in cluster.calculation.problems.current
    assert Cidr.parse("10.0.2.0/30") not in cluster.state.cluster_routes
