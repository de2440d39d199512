"""Which pools may serve a request, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tortie.api.ippool import IPPool
from tortie.base.addresses import Cidr
from tortie.ipam.errors import NoPool, PoolNotUsable, UseNotAllowed
from tortie.selector.parser import parse

BLOCK_LENGTHS = {4: 26, 6: 122}
"""Prefix length of blocks, by family, where the pool does not say."""

DEFAULT_USES = ("Workload", "Tunnel")


class Pool(msgspec.Struct, frozen=True, gc=False):
    """What address management knows of a pool, defaults filled in.

    `enabled` is false for pools that are disabled, being deleted or refused by their controller;
    `manual` pools serve only those who ask for them by name.
    """

    name: str
    cidr: Cidr
    block_length: int
    enabled: bool = True
    uses: tuple[str, ...] = DEFAULT_USES
    manual: bool = False
    node_selector: str = ""
    namespace_selector: str = ""

    @classmethod
    def of(cls, resource: IPPool) -> Pool:
        """Read a resource.

        Raises:
            ValueError: its prefix is not one.
        """
        spec = resource.spec
        cidr = Cidr.parse(spec.cidr)
        return cls(
            name=resource.metadata.name,
            cidr=cidr,
            block_length=spec.block_size or BLOCK_LENGTHS[cidr.family],
            enabled=_is_enabled(resource),
            uses=spec.allowed_uses or DEFAULT_USES,
            manual=spec.assignment_mode == "Manual",
            node_selector=spec.node_selector,
            namespace_selector=spec.namespace_selector,
        )

    def block_of(self, address: Cidr) -> Cidr:
        """The block that an address of this pool lies in."""
        shift = address.bits - self.block_length
        return Cidr(address.family, address.address >> shift << shift, self.block_length)


class PoolRequest(msgspec.Struct, frozen=True, gc=False):
    """Who asks, for what. `requested` are names or prefixes of pools; empty leaves the choice to selectors."""

    family: int
    use: str
    node: str
    node_labels: Mapping[str, str] = {}
    namespace_labels: Mapping[str, str] = {}
    requested: tuple[str, ...] = ()


def choose(pools: Sequence[Pool], request: PoolRequest) -> list[Pool]:
    """The pools that may serve a request, best first, never empty.

    Raises:
        PoolNotUsable: a requested pool does not exist, is disabled, or is of the other family.
        NoPool: no pool is for this node and namespace.
        UseNotAllowed: those that are do not allow the use.
    """
    selected = select(pools, request)
    if not selected:
        raise NoPool(
            f"no IPv{request.family} pool for node {request.node}: {len(pools)} pools exist, none of them enabled, "
            f"automatic and selecting this node and namespace (check nodeSelector and namespaceSelector of IPPools)"
        )
    allowed = [pool for pool in selected if request.use in pool.uses]
    if not allowed:
        raise UseNotAllowed(
            f"no pool for use {request.use} of node {request.node}: "
            f"{', '.join(pool.name for pool in selected)} qualify otherwise (add the use to allowedUses of one)"
        )
    return allowed


def select(pools: Sequence[Pool], request: PoolRequest) -> list[Pool]:
    """As `choose`, before uses are looked at; may be empty when nothing was asked for by name."""
    if request.requested:
        return [_requested(pools, name, request.family) for name in request.requested]
    return [
        pool
        for pool in pools
        if pool.enabled
        and not pool.manual
        and pool.cidr.family == request.family
        and matches(pool.node_selector, request.node_labels)
        and matches(pool.namespace_selector, request.namespace_labels)
    ]


def pool_of(pools: Iterable[Pool], address: Cidr) -> Pool | None:
    """The pool that holds an address or block, the most specific when several do."""
    holding = (pool for pool in pools if pool.cidr.contains(address))
    return max(holding, key=lambda pool: pool.cidr.length, default=None)


def matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a selector holds for labels; an empty one holds for all.

    Raises:
        InvalidResource: the selector cannot be read.
    """
    return not selector or parse(selector).matches(labels)


def _requested(pools: Sequence[Pool], name: str, family: int) -> Pool:
    """The pool that a name or prefix means.

    Selectors and the assignment mode do not matter to those who ask for a pool by name.
    """
    cidr = _as_prefix(name)
    found = next((pool for pool in pools if pool.name == name or pool.cidr == cidr), None)
    if found is None or not found.enabled:
        raise PoolNotUsable(f"pool {name}: does not exist or is not enabled (ask for another, or enable it)")
    if found.cidr.family != family:
        raise PoolNotUsable(f"pool {name}: is of the wrong IP version, not IPv{family} (ask for a pool of each family)")
    return found


def _as_prefix(text: str) -> Cidr | None:
    try:
        return Cidr.parse(text)
    except ValueError:
        return None


def _is_enabled(resource: IPPool) -> bool:
    conditions = resource.status.conditions if resource.status else ()
    refused = any(item.type == "Allocatable" and item.status == "False" for item in conditions)
    return not (resource.spec.disabled or resource.metadata.deletion_timestamp or refused)
