"""What goes with a node, a pool or a service when it is deleted: told before, and removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING

from tortie.api.endpointslice import SERVICE_LABEL
from tortie.api.ippool import IPPool
from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource, NotFound, OutcomeUnknown, Unavailable
from tortie.cli.personality import program
from tortie.cli.plan import Plan
from tortie.cli.writing import Remove
from tortie.datastore.contract import Datastore
from tortie.datastore.resources import ResourceStore

if TYPE_CHECKING:
    from tortie.ipam.removal import NodeHoldings

HOLDERS = frozenset({"Node", "IPPool"})
"""Kinds whose objects have addresses."""


def remover(datastore: Datastore, store: ResourceStore) -> Remove:
    """Deletes one object with what belongs to it alone."""

    async def remove(key: ResourceKey, revision: int | None) -> None:
        if key.kind == "Service":
            for slice in await _slices(store, key):
                with contextlib.suppress(NotFound):
                    await store.delete(slice)
        if key.kind not in HOLDERS or not await _is_readable(store, key):
            await store.delete(key, revision)
            return
        # Address management takes longer to load than the rest of the command does.
        from tortie.ipam.allocator import Allocator
        from tortie.ipam.removal import remove_node, remove_pool

        clock = SystemClock()
        allocator = Allocator(datastore, clock, Random())
        try:
            if key.kind == "Node":
                await remove_node(datastore, store, allocator, key.name)
            else:
                await remove_pool(store, allocator, clock, key)
        except Unavailable as error:
            raise OutcomeUnknown(f"{error}; part of what belongs to it may be gone: delete it again") from error

    return remove


async def belongings(store: ResourceStore, plan: Plan) -> list[ResourceKey]:
    """The objects that would be deleted with those of a plan of deletions, in order, each once."""
    found: list[ResourceKey] = []
    for step in plan.steps:
        if step.key.kind == "Service":
            found += await _slices(store, step.key)
        elif step.key.kind == "Node" and step.before is not None:
            from tortie.ipam.removal import resources_of

            found += await resources_of(store, step.key.name)
    planned = {step.key for step in plan.steps}
    return [key for key in dict.fromkeys(found) if key not in planned]


async def told_addresses(datastore: Datastore, store: ResourceStore, plan: Plan, *, foretold: bool) -> list[str]:
    """What a plan of deletions means for addresses in use.

    Args:
        foretold: tell also what nobody loses anything by.
    """
    holders = [step.before for step in plan.steps if step.key.kind in HOLDERS and step.before is not None]
    if not holders:
        return []
    from tortie.ipam.removal import held_in, node_holdings
    from tortie.ipam.snapshot import read_snapshot

    snapshot = await read_snapshot(datastore, SystemClock(), Random())
    told: list[str] = []
    for resource in holders:
        if isinstance(resource, IPPool):
            told += _of_pool(resource, held_in(snapshot, Cidr.parse(resource.spec.cidr)))
        elif isinstance(resource, Node) and foretold:
            told += _of_node(resource, await node_holdings(store, snapshot, resource))
    return told


def _of_pool(pool: IPPool, in_use: int) -> Iterator[str]:
    if in_use:
        yield (
            f"{pool.key}: {_counted(in_use, 'address')} of {pool.spec.cidr} in use: whoever has one keeps it, but "
            "what the pool says of tunnels and natOutgoing holds for it no longer"
        )


def _of_node(node: Node, holdings: NodeHoldings) -> Iterator[str]:
    if holdings.used or holdings.blocks:
        blocks = _counted(holdings.blocks, "block")
        yield f"{node.key}: {_counted(holdings.used, 'address')} would be released, and {blocks} given up"
    if holdings.others:
        others = _counted(holdings.others, "address")
        yield f"{node.key}: {others} of its blocks would stay held (see `{program()} ipam check`)"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"


async def _slices(store: ResourceStore, service: ResourceKey) -> Sequence[ResourceKey]:
    """Those of a service. They would be nobody's without it, and rules that name it would still match them."""
    found = await store.list("EndpointSlice", service.namespace)
    return [one.key for one in found if one.metadata.labels.get(SERVICE_LABEL) == service.name]


async def _is_readable(store: ResourceStore, key: ResourceKey) -> bool:
    """Whether what is stored can tell what belongs to it; where it cannot, it goes alone."""
    try:
        return await store.get(key) is not None
    except InvalidResource:
        return False
