"""What goes with a Node or an IPPool when it is deleted: addresses, blocks, and resources that speak of it alone.

No step is atomic with the next: a crash leaves less to do for whoever deletes it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec

from tortie.api.bgp import BGPPeer
from tortie.api.hostendpoint import HostEndpoint
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
from tortie.ipam.inspection import tunnel_addresses
from tortie.ipam.requests import ReleaseRequest

SETTLING_SECONDS = 0.5
"""How long assignments that read the pool before it was disabled have to end."""

EVERYTHING = (Cidr(4, 0, 0), Cidr(6, 0, 0))


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
    endpoints = [
        endpoint
        for endpoint in cast("Iterable[WorkloadEndpoint]", await store.list("WorkloadEndpoint"))
        if endpoint.spec.node == name
    ]
    held = [*tunnel_addresses(node), *(text for endpoint in endpoints for text in endpoint.spec.ip_networks)]
    await allocator.require_readable(name, map(Cidr.host, held))
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


async def _own_resources(store: ResourceStore, node: str) -> list[ResourceKey]:
    peers = cast("Iterable[BGPPeer]", await store.list("BGPPeer"))
    host_endpoints = cast("Iterable[HostEndpoint]", await store.list("HostEndpoint"))
    return [
        *(peer.key for peer in peers if peer.spec.node == node),
        *(endpoint.key for endpoint in host_endpoints if endpoint.spec.node == node),
        ResourceKey("FelixConfiguration", "", f"node.{node}"),
        ResourceKey("BGPConfiguration", "", f"node.{node}"),
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
