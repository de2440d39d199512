"""A node's own addresses inside overlays: taken, kept, moved and given back as pools ask."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from tortie.agent.tunnels import Encryption, TunnelAddresses
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node, NodeBGP, NodeSpec, NodeStatus
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.base.errors import TortieError
from tortie.datastore.contract import Datastore
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.desired.state import Changes
from tortie.ipam.allocator import Allocator
from tortie.selector.check import selector_problem

HANDLE = {4: "vxlan-tunnel-addr-here", 6: "vxlan-v6-tunnel-addr-here"}


def pool(name: str, cidr: str, vxlan_mode: str = "Always", **spec: object) -> IPPool:
    spec.setdefault("block_size", 122 if ":" in cidr else 26)
    spec.setdefault("allowed_uses", ("Workload", "Tunnel"))
    return IPPool(metadata=Metadata(name=name), spec=IPPoolSpec(cidr=cidr, vxlan_mode=vxlan_mode, **spec))


def node(**spec: str) -> Node:
    return Node(metadata=Metadata(name="here"), spec=NodeSpec(**spec), status=NodeStatus())


class Time(SystemClock):
    """Stands still until it is moved."""

    time = 100.0

    def monotonic(self) -> float:
        return self.time


class Cluster:
    """A datastore with this node, and what keeps its addresses."""

    def __init__(self, datastore: Datastore) -> None:
        clock = SystemClock()
        self.store = ResourceStore(datastore, clock, selector_problem)
        self.allocator = Allocator(datastore, clock, Random(1))
        self.encryption = Encryption()
        self.addresses = TunnelAddresses("here", self.store, self.allocator, clock, str, lambda: self.encryption)

    async def go(self, *resources: Resource) -> str:
        """Apply, settle, and check that a second look changes nothing."""
        for one in resources:
            await self.store.apply(one)
        problem = await self.addresses.settle()
        before = await self.node()
        assert await self.addresses.settle() == problem
        assert await self.node() == before
        return problem

    async def node(self) -> Node:
        found = await self.store.get(ResourceKey("Node", "", "here"))
        assert isinstance(found, Node)
        return found

    async def held(self, family: int) -> list[str]:
        return [one.text for one in await self.allocator.addresses_of(HANDLE[family])]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    datastore = await open_datastore(tmp_path / "datastore.db")
    one = Cluster(datastore)
    await one.store.ensure_initialized()
    await one.store.apply(node())
    yield one
    await datastore.close()


async def test_each_family_gets_an_address_that_is_held_and_named(cluster: Cluster) -> None:
    assert await cluster.go(pool("p", "10.65.0.0/16"), pool("q", "fd00:65::/64", "CrossSubnet")) == ""
    spec = (await cluster.node()).spec
    assert await cluster.held(4) == [spec.ipv4_vxlan_tunnel_addr]
    assert await cluster.held(6) == [spec.ipv6_vxlan_tunnel_addr]
    assert Cidr.parse("10.65.0.0/16").contains(Cidr.host(spec.ipv4_vxlan_tunnel_addr))


async def test_pools_that_do_not_encapsulate_cost_no_address(cluster: Cluster) -> None:
    assert await cluster.go(pool("p", "10.65.0.0/16", "Never"), pool("q", "10.66.0.0/16", "")) == ""
    assert (await cluster.held(4), (await cluster.node()).spec.ipv4_vxlan_tunnel_addr) == ([], "")


async def test_ip_in_ip_has_an_address_of_its_own_unless_vxlan_does_its_work(cluster: Cluster) -> None:
    both = msgspec.structs.replace(await cluster.node(), spec=NodeSpec(bgp=NodeBGP(ipv4_address="192.0.2.1/24")))
    assert await cluster.go(both, pool("q", "10.66.0.0/16", "", ipip_mode="Always")) == ""
    bgp = (await cluster.node()).spec.bgp
    assert bgp is not None
    held = await cluster.allocator.addresses_of("ipip-tunnel-addr-here")
    assert [one.text for one in held] == [bgp.ipv4_ipip_tunnel_addr]
    await cluster.go(pool("q", "10.66.0.0/16", "Always", ipip_mode="Never"))
    assert not await cluster.allocator.addresses_of("ipip-tunnel-addr-here")
    assert len(await cluster.held(4)) == 1


async def test_what_is_not_needed_any_more_is_given_back(cluster: Cluster) -> None:
    await cluster.go(pool("p", "10.65.0.0/16"))
    assert len(await cluster.held(4)) == 1
    await cluster.go(pool("p", "10.65.0.0/16", "Never"))
    assert (await cluster.held(4), (await cluster.node()).spec.ipv4_vxlan_tunnel_addr) == ([], "")


async def test_what_is_not_needed_is_kept_as_long_as_others_may_use_it(cluster: Cluster) -> None:
    clock = Time()
    kept = TunnelAddresses("here", cluster.store, cluster.allocator, clock, str, Encryption, 5)
    await cluster.store.apply(pool("p", "10.65.0.0/16"))
    await kept.settle()
    held = await cluster.held(4)
    await cluster.store.apply(pool("p", "10.65.0.0/16", "Never"))
    for seconds, left in ((0, held), (4, held), (2, [])):
        clock.time += seconds
        await kept.settle()
        assert await cluster.held(4) == left
        assert (await cluster.node()).spec.ipv4_vxlan_tunnel_addr == "".join(left)


async def test_what_is_needed_again_in_time_counts_anew(cluster: Cluster) -> None:
    clock = Time()
    kept = TunnelAddresses("here", cluster.store, cluster.allocator, clock, str, Encryption, 5)
    for mode in ("Always", "Never", "Always", "Never"):
        await cluster.store.apply(pool("p", "10.65.0.0/16", mode))
        clock.time += 4
        await kept.settle()
        assert len(await cluster.held(4)) == 1


async def test_another_pool_means_another_address(cluster: Cluster) -> None:
    await cluster.go(pool("p", "10.65.0.0/16"))
    await cluster.go(pool("p", "10.65.0.0/16", "Never"), pool("r", "10.66.0.0/16"))
    (held,) = await cluster.held(4)
    assert Cidr.parse("10.66.0.0/16").contains(Cidr.host(held))
    assert (await cluster.node()).spec.ipv4_vxlan_tunnel_addr == held


async def test_a_disabled_pool_keeps_what_it_gave_and_gives_nothing_new(cluster: Cluster) -> None:
    await cluster.go(pool("p", "10.65.0.0/16"))
    held = await cluster.held(4)
    assert await cluster.go(pool("p", "10.65.0.0/16", disabled=True)) == ""
    assert await cluster.held(4) == held


@pytest.mark.parametrize(
    "spec", [{"disabled": True}, {"allowed_uses": ("Workload",)}, {"node_selector": "zone == 'b'"}]
)
async def test_that_no_pool_gives_one_is_told(cluster: Cluster, spec: dict[str, object]) -> None:
    problem = await cluster.go(pool("p", "10.65.0.0/16", **spec))
    assert problem.startswith("no enabled IPv4 pool with VXLAN gives this node addresses of tunnels")


async def test_an_address_that_only_the_node_remembers_is_held_again(cluster: Cluster) -> None:
    old = msgspec.structs.replace(await cluster.node(), spec=NodeSpec(ipv4_vxlan_tunnel_addr="10.65.3.7"))
    await cluster.go(old, pool("p", "10.65.0.0/16"))
    assert await cluster.held(4) == ["10.65.3.7"]


async def test_an_address_that_somebody_else_has_by_now_is_replaced(cluster: Cluster) -> None:
    await cluster.store.apply(pool("p", "10.65.0.0/16"))
    await cluster.allocator.assign_address(Cidr.host("10.65.3.7"), "here", "pod", {})
    await cluster.go(msgspec.structs.replace(await cluster.node(), spec=NodeSpec(ipv4_vxlan_tunnel_addr="10.65.3.7")))
    (held,) = await cluster.held(4)
    assert held != "10.65.3.7"
    assert (await cluster.node()).spec.ipv4_vxlan_tunnel_addr == held


async def test_a_node_that_is_not_there_needs_nothing(cluster: Cluster) -> None:
    await cluster.store.apply(pool("p", "10.65.0.0/16"))
    await cluster.store.delete(ResourceKey("Node", "", "here"))
    assert await cluster.addresses.settle() == ""
    assert await cluster.held(4) == []


async def test_full_pools_are_an_error_that_is_tried_again(cluster: Cluster) -> None:
    full = pool("p", "10.65.0.0/32", block_size=32)
    await cluster.store.apply(full)
    await cluster.allocator.assign_address(Cidr.host("10.65.0.0"), "here", "pod", {})
    with pytest.raises(TortieError, match="0 of 1 IPv4"):
        await cluster.addresses.settle()


def key(number: int) -> tuple[bytes, str]:
    return bytes([number]) * 32, base64.b64encode(bytes([number]) * 32).decode()


async def test_encryption_gets_addresses_of_any_pool_of_its_family_and_publishes_its_keys(cluster: Cluster) -> None:
    cluster.encryption = Encryption(frozenset({4, 6}), {4: key(1)[0]})
    assert await cluster.go(pool("p", "10.65.0.0/16", "Never"), pool("q", "fd00:65::/64", "Never")) == ""
    found = await cluster.node()
    wireguard = found.spec.wireguard
    assert wireguard is not None
    held = [await cluster.allocator.addresses_of(f"wireguard{v6}-tunnel-addr-here") for v6 in ("", "-v6")]
    assert [[one.text for one in some] for some in held] == [
        [wireguard.interface_ipv4_address],
        [wireguard.interface_ipv6_address],
    ]
    assert (found.status.wireguard_public_key, found.status.wireguard_public_key_v6) == (key(1)[1], "")


async def test_a_key_that_is_not_known_yet_stays_and_one_of_what_is_switched_off_goes(cluster: Cluster) -> None:
    status = NodeStatus(wireguard_public_key=key(1)[1], wireguard_public_key_v6=key(2)[1])
    cluster.encryption = Encryption(None)
    await cluster.go(msgspec.structs.replace(await cluster.node(), status=status), pool("p", "10.65.0.0/16", "Never"))
    assert (await cluster.node()).status == status
    cluster.encryption = Encryption(frozenset({4}))
    await cluster.go()
    found = (await cluster.node()).status
    assert (found.wireguard_public_key, found.wireguard_public_key_v6) == (key(1)[1], "")
    cluster.encryption = Encryption()
    await cluster.go()
    found = await cluster.node()
    assert (found.status.wireguard_public_key, found.spec.wireguard) == ("", None)
    assert not await cluster.allocator.addresses_of("wireguard-tunnel-addr-here")


async def test_encryption_without_a_pool_that_gives_addresses_is_told(cluster: Cluster) -> None:
    cluster.encryption = Encryption(frozenset({4}))
    problem = await cluster.go(pool("p", "10.65.0.0/16", "Never", disabled=True))
    assert problem == "no enabled IPv4 pool gives this node addresses of tunnels (see allowedUses)"


def test_what_a_pool_asks_for_is_looked_at_at_once(cluster: Cluster) -> None:
    prefix, other = Cidr.parse("10.65.0.0/16"), Cidr.parse("10.65.0.0/26")
    clock = SystemClock()
    addresses = TunnelAddresses("here", cluster.store, cluster.allocator, clock, str, pools=lambda: (prefix,))
    addresses.after_pass(Changes(cluster_routes={other}))
    assert not addresses._wake.is_set()
    addresses.after_pass(Changes(cluster_routes={other, prefix}))
    assert addresses._wake.is_set()


def test_a_new_key_is_written_at_once(cluster: Cluster) -> None:
    cluster.addresses.after_pass(Changes())
    assert not cluster.addresses._wake.is_set()
    cluster.encryption = Encryption(frozenset({4}), {4: key(1)[0]})
    cluster.addresses.after_pass(Changes())
    assert cluster.addresses._wake.is_set()
