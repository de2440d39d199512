"""What goes with a Node or an IPPool when it is deleted: addresses, blocks, and resources that speak of it alone.

No step is atomic with the next: a crash leaves less to do for whoever deletes it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec

from tortie.api.bgp import BGPPeer
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.ipam import IPAMBlock
from tortie.api.ippool import IPPool
from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import NotFound
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import HOST_AFFINITY_PREFIX
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.audit import Snapshot
from tortie.ipam.block import address_at, held
from tortie.ipam.inspection import tunnel_addresses
from tortie.ipam.requests import ReleaseRequest

SETTLING_SECONDS = 0.5
"""How long assignments that read the pool before it was disabled have to end."""

SETTINGS = ("FelixConfiguration", "BGPConfiguration")
"""Kinds with an object of a node's own, `node.NAME`."""

EVERYTHING = (Cidr(4, 0, 0), Cidr(6, 0, 0))


class NodeHoldings(msgspec.Struct, frozen=True):
    """What a node has of addresses.

    Args:
        used: addresses of its endpoints and tunnels, which are released with it.
        blocks: how many blocks it has, which it gives up.
        others: addresses of its blocks that somebody else holds, and that stay held.
    """

    used: int
    blocks: int
    others: int


async def remove_pool(store: ResourceStore, allocator: Allocator, clock: Clock, key: ResourceKey) -> None:
    """Disable a pool, give up its blocks, and delete it; addresses in use stay held.

    Raises:
        NotFound: there is none.
    """
    pool = await store.get(key)
    if not isinstance(pool, IPPool):
        raise NotFound(str(key))
    if not pool.spec.disabled:
        await store.update(msgspec.structs.replace(pool, spec=msgspec.structs.replace(pool.spec, disabled=True)))
        await clock.sleep(SETTLING_SECONDS)
    await allocator.release_pool(Cidr.parse(pool.spec.cidr))
    await store.delete(key)


async def remove_node(datastore: Datastore, store: ResourceStore, allocator: Allocator, name: str) -> None:
    """Delete a node with its endpoints, addresses, blocks, and its own BGP and agent settings.

    Raises:
        NotFound: there is none.
        UnreadableRecord: a block of its addresses cannot be read; nothing was done.
    """
    node = await store.get(ResourceKey("Node", "", name))
    if not isinstance(node, Node):
        raise NotFound(str(ResourceKey("Node", "", name)))
    endpoints = await _endpoints_on(store, name)
    await allocator.require_readable(name, map(Cidr.host, _used(node, endpoints)))
    for endpoint in endpoints:
        await _release(allocator, endpoint.spec.ip_networks)
        await _delete(store, endpoint.key)
    await _release(allocator, tunnel_addresses(node))
    for prefix in EVERYTHING:
        await allocator.release_affinity(prefix, name)
    await _delete_key(datastore, HOST_AFFINITY_PREFIX + name)
    for key in await _own_resources(store, name):
        await _delete(store, key)
    await store.delete(node.key)


async def resources_of(store: ResourceStore, node: str) -> list[ResourceKey]:
    """The resources that go with a node, as far as they can be read."""
    endpoints = [endpoint.key for endpoint in await _endpoints_on(store, node)]
    settings = {key for kind in SETTINGS for key in await store.keys(kind)}
    own = await _own_resources(store, node)
    return [*endpoints, *(key for key in own if key.kind not in SETTINGS or key in settings)]


async def node_holdings(store: ResourceStore, snapshot: Snapshot, node: Node) -> NodeHoldings:
    """What a node and those on it hold of addresses."""
    owner = f"host:{node.metadata.name}"
    used = {Cidr.host(text).text for text in _used(node, await _endpoints_on(store, node.metadata.name))}
    blocks = [block for block in snapshot.blocks.values() if block.affinity == owner]
    recorded = {address.text for block in snapshot.blocks.values() for address in _held(block)}
    in_blocks = {address.text for block in blocks for address in _held(block)}
    claims = sum(claimant == owner for claimant, _ in snapshot.claims)
    return NodeHoldings(len(used & recorded), claims, len(in_blocks - used))


def held_in(snapshot: Snapshot, prefix: Cidr) -> int:
    """How many addresses of a prefix somebody holds."""
    return sum(prefix.contains(address) for block in snapshot.blocks.values() for address in _held(block))


def _held(block: IPAMBlock) -> list[Cidr]:
    return [address_at(block, ordinal) for ordinal, _ in held(block)]


async def _endpoints_on(store: ResourceStore, node: str) -> list[WorkloadEndpoint]:
    endpoints = cast("Iterable[WorkloadEndpoint]", await store.list("WorkloadEndpoint"))
    return [endpoint for endpoint in endpoints if endpoint.spec.node == node]


def _used(node: Node, endpoints: Iterable[WorkloadEndpoint]) -> list[str]:
    return [*tunnel_addresses(node), *(text for endpoint in endpoints for text in endpoint.spec.ip_networks)]


async def _own_resources(store: ResourceStore, node: str) -> list[ResourceKey]:
    peers = cast("Iterable[BGPPeer]", await store.list("BGPPeer"))
    host_endpoints = cast("Iterable[HostEndpoint]", await store.list("HostEndpoint"))
    return [
        *(peer.key for peer in peers if peer.spec.node == node),
        *(endpoint.key for endpoint in host_endpoints if endpoint.spec.node == node),
        *(ResourceKey(kind, "", f"node.{node}") for kind in SETTINGS),
    ]


async def _release(allocator: Allocator, addresses: Iterable[str]) -> None:
    await allocator.release([ReleaseRequest(Cidr.host(address)) for address in addresses])


async def _delete(store: ResourceStore, key: ResourceKey) -> None:
    try:
        await store.delete(key)
    except NotFound:
        return


async def _delete_key(datastore: Datastore, key: str) -> None:
    try:
        await datastore.delete(key)
    except NotFound:
        return
