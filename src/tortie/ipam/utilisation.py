"""Who uses how much of the addresses: by pool, node and namespace. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tortie.api.ipam import IPAMBlock
from tortie.base.addresses import Cidr
from tortie.ipam.audit import Snapshot
from tortie.ipam.block import block_size, held
from tortie.ipam.pools import Pool, pool_of
from tortie.ipam.ranges import Ranges
from tortie.ipam.usage import Usage, usage

NOBODY = "-"
"""Stands for the namespace of what has none, such as tunnels, and for the owner of blocks that nobody owns."""


class PoolShare(msgspec.Struct, frozen=True, gc=False):
    """One pool: how many blocks are made of it, and how full it is."""

    name: str
    blocks: int
    usage: Usage


class NodeShare(msgspec.Struct, frozen=True, gc=False):
    """One node and family.

    Args:
        blocks: that it owns, with `capacity` addresses.
        in_use: addresses held on its behalf, in whosever blocks.
        borrowed: of these, in blocks of others.
        lent: addresses of its own blocks that others hold.
        free: addresses of its own blocks that nobody holds, cooling ones included.
    """

    node: str
    family: int
    blocks: int
    capacity: int
    in_use: int
    borrowed: int
    lent: int
    free: int


class NamespaceShare(msgspec.Struct, frozen=True, gc=False):
    """One namespace and family."""

    namespace: str
    family: int
    in_use: int


class Holding(msgspec.Struct, frozen=True, gc=False):
    """One held address: in whose block, on behalf of which node and namespace."""

    cidr: Cidr
    owner: str
    node: str
    namespace: str


def pool_shares(snapshot: Snapshot, pools: Sequence[Pool], reserved: Mapping[int, Ranges]) -> tuple[PoolShare, ...]:
    """Every pool, in the given order."""
    blocks, unknown = list(snapshot.blocks.values()), list(snapshot.unreadable_blocks)
    counts = Counter(pool.name for cidr in snapshot.blocks if (pool := pool_of(pools, cidr)))
    return tuple(
        PoolShare(pool.name, counts[pool.name], usage(pool.cidr, blocks, reserved[pool.cidr.family], unknown))
        for pool in pools
    )


def node_shares(snapshot: Snapshot) -> tuple[NodeShare, ...]:
    """Every node that owns blocks or holds addresses, in the order of names and families."""
    holdings = [one for cidr, block in snapshot.blocks.items() for one in holdings_of(cidr, block)]
    in_use = Counter((one.node, one.cidr.family) for one in holdings)
    borrowed = Counter((one.node, one.cidr.family) for one in holdings if one.node != one.owner)
    lent = Counter((one.owner, one.cidr.family) for one in holdings if one.node != one.owner)
    in_own = Counter((one.owner, one.cidr.family) for one in holdings)
    blocks = Counter((owner_of(block), cidr.family) for cidr, block in snapshot.blocks.items())
    capacity: Counter[tuple[str, int]] = Counter()
    for cidr, block in snapshot.blocks.items():
        capacity[owner_of(block), cidr.family] += block_size(cidr)
    return tuple(
        NodeShare(*key, blocks[key], capacity[key], in_use[key], borrowed[key], lent[key], capacity[key] - in_own[key])
        for key in sorted(blocks.keys() | in_use.keys())
    )


def namespace_shares(snapshot: Snapshot) -> tuple[NamespaceShare, ...]:
    """Every namespace that holds addresses, in the order of names and families."""
    counts = Counter(
        (one.namespace, one.cidr.family) for cidr, block in snapshot.blocks.items() for one in holdings_of(cidr, block)
    )
    return tuple(NamespaceShare(*key, counts[key]) for key in sorted(counts))


def holdings_of(cidr: Cidr, block: IPAMBlock) -> Iterator[Holding]:
    """Every held address of a block; what does not tell its node is the owner's."""
    owner = owner_of(block)
    for _, attribute in held(block):
        facts = attribute.secondary or {}
        yield Holding(cidr, owner, facts.get("node") or owner, facts.get("namespace") or NOBODY)


def owner_of(block: IPAMBlock) -> str:
    """The node that owns a block, by its bare name, or another owner as blocks spell it."""
    return (block.affinity or NOBODY).removeprefix("host:")
