"""What the packet filter is told of the network: only what it needs, and only what differs."""

from __future__ import annotations

from typing import Any

import msgspec

from tortie.api.node import Node, NodeStatus
from tortie.desired.network import NODES, VXLAN_PEERS, Network, Tunnels


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


def test_who_may_send_vxlan_has_an_end_of_a_tunnel(world: Any, make: Any) -> None:
    pools = make.pool("p", "10.0.0.0/16", vxlan_mode="Always"), make.pool("q", "fd00::/64", ipip_mode="Always")
    world.go(*pools, node(make, "there", "10.9.0.2/24"), node(make, "yonder", "10.9.0.3/24", "10.0.3.0"))
    assert world.state.network.tunnels == Tunnels(vxlan=(4,))
    assert world.members() == {VXLAN_PEERS: {"10.9.0.3"}}


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
    assert world.state.network.tunnels == Tunnels(wireguard=True)


def test_what_cannot_be_read_counts_as_absent_until_it_can(world: Any, make: Any) -> None:
    world.go(make.pool("p", "10.0.0.0/16", ipip_mode="Always"), make.node("there", "10.9.0.2/24"))
    world.go(make.node("there", "nonsense"))
    assert world.only_set() == set()
    assert [key.name for key in world.calculation.problems.current] == ["there"]
    world.go(make.node("there", "10.9.0.4/24"))
    assert world.only_set() == {"10.9.0.4"}
