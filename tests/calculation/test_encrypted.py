"""Peers of WireGuard: who has a key that nobody else has, and what is there."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from tortie.api.ipam import BlockAttribute, IPAMBlock
from tortie.api.node import Node, NodeStatus, NodeWireguard
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.desired.wireguard import WireguardPeer, WireguardPeerId

KEYS = [base64.b64encode(bytes([n]) * 32).decode() for n in range(4)]


@pytest.fixture
def node(make: Any) -> Any:
    def node(name: str, ipv4: str = "", ipv6: str = "", key: str = "", key6: str = "", **spec: Any) -> Node:
        made = make.node(name, ipv4, ipv6)
        status = NodeStatus(wireguard_public_key=key, wireguard_public_key_v6=key6)
        return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, **spec), status=status)

    return node


def block(cidr: str, node: str, lent: dict[int, str] | None = None) -> tuple[ResourceKey, IPAMBlock]:
    """Four addresses, of which some are lent to other nodes."""
    lent = lent or {}
    owners = sorted(set(lent.values()))
    return ResourceKey("IPAMBlock", "", cidr), IPAMBlock(
        cidr=cidr,
        affinity=f"host:{node}",
        allocations=tuple(owners.index(lent[n]) if n in lent else None for n in range(4)),
        unallocated=tuple(n for n in range(4) if n not in lent),
        attributes=tuple(BlockAttribute(handle_id="x", secondary={"node": one}) for one in owners),
    )


@pytest.fixture
def here(world: Any, make: Any, node: Any) -> Any:
    """This node, another one with blocks, and a pool of each family."""
    world.go(make.pool("p", "10.65.0.0/16"), make.pool("q", "fd00:65::/64"))
    for key, value in (block("10.65.1.0/30", "here"), block("10.65.2.0/30", "near"), block("fd00:65::/126", "near")):
        world.calculation.update(key, value)
    world.go(node("here", "192.0.2.1/24", "fd00::1/64", KEYS[0]), node("near", "192.0.2.2/24", "fd00::2/64", KEYS[1]))
    return world


def peers(world: Any) -> dict[str, WireguardPeer]:
    return {f"{one.node} {one.family}": peer for one, peer in world.state.wireguard_peers.items()}


def shown(nets: tuple[Cidr, ...]) -> list[str]:
    return [str(one) for one in nets]


def test_another_node_with_a_key_is_a_peer_with_all_that_is_there(here: Any, node: Any) -> None:
    (peer,) = peers(here).values()
    assert peer.id == WireguardPeerId("near", 4)
    assert (peer.key, peer.endpoint) == (bytes([1]) * 32, Cidr.host("192.0.2.2"))
    assert (shown(peer.workloads), shown(peer.hosts)) == (["10.65.2.0/30"], ["192.0.2.2/32"])
    spec = {"ipv4_vxlan_tunnel_addr": "10.65.9.9"}
    here.go(node("near", "192.0.2.2/24", "fd00::2/64", KEYS[1], KEYS[2], **spec))
    assert shown(peers(here)["near 4"].workloads) == ["10.65.2.0/30", "10.65.9.9/32"]
    assert shown(peers(here)["near 6"].workloads) == ["fd00:65::/126"]
    assert shown(peers(here)["near 6"].hosts) == ["fd00::2/128"]


def test_addresses_that_are_lent_are_at_who_has_them(here: Any, node: Any) -> None:
    here.calculation.update(*block("10.65.2.0/30", "near", {1: "far", 2: "here"}))
    here.go(node("far", "192.0.2.3/24", key=KEYS[2]))
    assert shown(peers(here)["far 4"].workloads) == ["10.65.2.1/32"]
    assert shown(peers(here)["near 4"].workloads) == ["10.65.2.0/30"]
    here.calculation.update(*block("10.65.2.0/30", "near"))
    here.flush()
    assert peers(here)["far 4"].workloads == ()


def test_a_block_that_comes_or_goes_changes_its_peer_alone(here: Any) -> None:
    here.calculation.update(*block("10.65.3.0/30", "near"))
    (changed,) = here.flush().wireguard_peers
    assert shown(changed.workloads) == ["10.65.2.0/30", "10.65.3.0/30"]
    here.calculation.update(*block("10.65.7.0/30", "here"))
    assert here.flush().wireguard_peers == ()


def test_a_key_that_goes_takes_its_peer_along(here: Any, node: Any) -> None:
    delta = here.go(node("near", "192.0.2.2/24"))
    assert delta.removed_wireguard_peers == (WireguardPeerId("near", 4),)
    assert peers(here) == {}


def test_a_node_without_an_address_is_nobodys_peer(here: Any, node: Any) -> None:
    here.go(node("near", "", "fd00::2/64", KEYS[1]))
    assert peers(here) == {}


@pytest.mark.parametrize("other", ["far", "here"])
def test_nodes_with_the_same_key_are_not_believed_and_told(here: Any, node: Any, other: str) -> None:
    here.go(node(other, "192.0.2.3/24", key=KEYS[1]))
    assert peers(here) == {}
    (told,) = [one for one in here.calculation.conflicts() if "WireGuard" in one]
    assert f"WireGuard: {', '.join(sorted((other, 'near')))} have the same public key" in told
    here.go(node(other, "192.0.2.3/24", key=KEYS[3]))
    assert "near 4" in peers(here)
    assert not [one for one in here.calculation.conflicts() if "WireGuard" in one]


def test_one_node_may_have_one_key_for_both_families(here: Any, node: Any) -> None:
    here.go(node("near", "192.0.2.2/24", "fd00::2/64", KEYS[1], KEYS[1]))
    assert set(peers(here)) == {"near 4", "near 6"}


@pytest.mark.parametrize("key", ["nonsense", KEYS[2][:-4], "!!!!"])
def test_what_is_no_key_is_told_and_counts_as_none(here: Any, node: Any, key: str) -> None:
    here.go(node("near", "192.0.2.2/24", key=key))
    assert peers(here) == {}
    assert "is no public key of WireGuard" in here.calculation.problems.current[ResourceKey("Node", "", "near")]


def test_addresses_inside_and_outside_are_told_with_the_key(here: Any, node: Any) -> None:
    ends = NodeWireguard(interface_ipv4_address="10.65.1.3", interface_ipv6_address="fd00:65::3")
    here.go(node("here", "192.0.2.1/24", "fd00::1/64", KEYS[0], wireguard=ends))
    network = here.state.network
    assert network.tunnels.wireguard == (4,)
    assert shown(network.wireguard_ends) == ["10.65.1.3/32", "fd00:65::3/128"]
    assert shown(network.own) == ["192.0.2.1/32", "fd00::1/128"]
