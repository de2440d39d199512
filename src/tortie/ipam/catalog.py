"""What the cluster says about addresses: pools, reservations, node labels and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from tortie.api.ipam import IPAMConfig
from tortie.api.ippool import IPPool
from tortie.api.ipreservation import IPReservation
from tortie.base.addresses import Cidr
from tortie.base.errors import Conflict
from tortie.base.logs import Logger
from tortie.datastore.keys import IPAM_CONFIG_KEY
from tortie.ipam.errors import Contention, InvalidRequest, UnknownNode, UnreadableRecord
from tortie.ipam.pools import Pool
from tortie.ipam.ranges import Ranges, of_prefixes
from tortie.ipam.requests import LOAD_BALANCER
from tortie.ipam.store import ATTEMPTS, Store, stored_value

DEFAULT_CONFIG = IPAMConfig(auto_allocate_blocks=True, kubevirt_vm_address_persistence="Enabled")
"""What holds while nothing is stored. A stored value without `auto_allocate_blocks` means false."""

_log = Logger(__name__)


class Facts(msgspec.Struct, frozen=True):
    """What decides which addresses an owner of blocks may get."""

    pools: list[Pool]
    labels: Mapping[str, str]
    config: IPAMConfig


async def read_facts(store: Store, owner: str) -> Facts:
    """All of it. Raises UnknownNode, UnreadableRecord."""
    return Facts(await read_pools(store), await read_labels(store, owner), await read_config(store))


async def read_pools(store: Store) -> list[Pool]:
    """All pools in the order of names; one whose prefix cannot be read is left out."""
    pools = []
    for resource in await store.resources("IPPool"):
        try:
            pools.append(Pool.of(cast(IPPool, resource)))
        except ValueError as error:
            _log.warning("pool unreadable", pool=resource.metadata.name, problem=str(error))
    return pools


async def read_reserved(store: Store, family: int) -> Ranges:
    """The addresses of a family that are never given out automatically."""
    prefixes = []
    for resource in await store.resources("IPReservation"):
        for text in cast(IPReservation, resource).spec.reserved_cidrs:
            try:
                prefixes.append(Cidr.parse(text))
            except ValueError as error:
                _log.warning("reservation unreadable", reservation=resource.metadata.name, problem=str(error))
    return of_prefixes(prefixes, family)


async def read_labels(store: Store, owner: str) -> Mapping[str, str]:
    """The labels that pools select an owner of blocks by; a virtual owner has none.

    Raises:
        UnknownNode: the node does not exist.
    """
    if owner == LOAD_BALANCER:
        return {}
    name = owner.removeprefix("host:")
    node = await store.resource("Node", name) if name else None
    if node is None:
        raise UnknownNode(name)
    return node.metadata.labels


async def read_config(store: Store) -> IPAMConfig:
    """The settings in force.

    Raises:
        UnreadableRecord: they cannot be read, so that nobody knows which rules hold.
    """
    stored = await store.read(IPAM_CONFIG_KEY, IPAMConfig)
    return stored.value if stored else DEFAULT_CONFIG


async def write_config(store: Store, config: IPAMConfig) -> str:
    """Change the settings; writes nothing when they are as wanted already.

    Returns:
        Why the settings that were stored before could not be read; empty as a rule.

    Raises:
        InvalidRequest: they contradict each other.
        Contention: others wrote them every time.
    """
    if not config.strict_affinity and not config.auto_allocate_blocks:
        raise InvalidRequest("IPAM config: strict_affinity and auto_allocate_blocks are both off (turn one on)")
    if config.max_blocks_per_host > 0 and not config.strict_affinity:
        raise InvalidRequest("IPAM config: maxBlocksPerHost needs strict_affinity (turn it on, or set the limit to 0)")
    for attempt in range(ATTEMPTS):
        await store.pause(attempt)
        try:
            return await _replace_config(store, config)
        except Conflict:
            continue
    raise Contention(IPAM_CONFIG_KEY, ATTEMPTS)


async def _replace_config(store: Store, config: IPAMConfig) -> str:
    found = await store.raw(IPAM_CONFIG_KEY)
    if found is None:
        if config != DEFAULT_CONFIG:
            await store.write(IPAM_CONFIG_KEY, None, config)
        return ""
    try:
        stored = stored_value(found, IPAMConfig)
    except UnreadableRecord as error:
        await store.overwrite(IPAM_CONFIG_KEY, config, found)
        return error.reason
    if config != stored.value:
        await store.write(IPAM_CONFIG_KEY, stored, config)
    return ""
