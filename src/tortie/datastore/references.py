"""Rules that involve more than one resource: policies and tiers, peers and filters, pools beside pools, made names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tortie.api.bgp import BGPPeer
from tortie.api.builtin import ALLOW_PROFILE, TIERS
from tortie.api.ippool import IPPool
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.resource import Resource, ResourceKey
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicy, StagedNetworkPolicy
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem

Get = Callable[[ResourceKey], Awaitable[Resource | None]]
List = Callable[[str], Awaitable[Sequence[Resource]]]
Blocks = Callable[[], Awaitable[Sequence[Cidr]]]

_Policy = NetworkPolicy | GlobalNetworkPolicy | StagedNetworkPolicy | StagedGlobalNetworkPolicy
_POLICY_KINDS = ("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy")
_BUILT_IN = frozenset(tier.metadata.name for tier in TIERS)
_NAMES_SHOWN = 5


class References:
    """Refuses what would break a rule. Nothing is locked: a writer at the same instant can still get past.

    Args:
        get: reads one resource.
        list: reads all resources of a kind.
        blocks: tells which blocks of addresses there are.
    """

    def __init__(self, get: Get, list: List, blocks: Blocks) -> None:
        self._get = get
        self._list = list
        self._blocks = blocks

    async def check_write(self, resource: Resource, old: Resource | None) -> None:
        """Raises InvalidResource when the resource may not be written in place of `old`."""
        _refuse(await self.write_problems(resource, old))

    async def write_problems(self, resource: Resource, old: Resource | None) -> list[Problem]:
        """Why the resource may not be written in place of `old`."""
        found = _built_in(resource.key)
        match resource:
            case _ if isinstance(resource, _Policy):
                found += await self._missing_tier(resource.key, _tier(resource))
            case IPPool():
                found += _moved_pool(resource, old) + await self._overlaps(resource)
                found += await self._other_blocks(resource) if old is None else []
            case BGPPeer():
                found += await self._missing_filters(resource)
        return found

    async def check_delete(self, key: ResourceKey) -> None:
        """Raises InvalidResource when the resource may not be deleted."""
        _refuse(await self.delete_problems(key))

    async def delete_problems(self, key: ResourceKey) -> list[Problem]:
        """Why the resource may not be deleted."""
        return _built_in(key) + (await self._used_tier(key) if key.kind == "Tier" else [])

    async def _missing_tier(self, policy: ResourceKey, tier: str) -> list[Problem]:
        if tier in _BUILT_IN or await self._get(ResourceKey("Tier", "", tier)) is not None:
            return []
        return [_problem(policy, "spec.tier", f"there is no tier {tier!r}", "create the tier first")]

    async def _missing_filters(self, peer: BGPPeer) -> list[Problem]:
        return [
            _problem(peer.key, f"spec.filters[{index}]", f"there is no BGPFilter {name!r}", "create the filter first")
            for index, name in enumerate(peer.spec.filters)
            if await self._get(ResourceKey("BGPFilter", "", name)) is None
        ]

    async def _used_tier(self, key: ResourceKey) -> list[Problem]:
        if key.name in _BUILT_IN:
            return [_problem(key, "", "is built in and cannot be deleted")]
        users = [policy.key for kind in _POLICY_KINDS for policy in await self._list(kind) if _tier(policy) == key.name]
        if not users:
            return []
        shown = ", ".join(map(str, users[:_NAMES_SHOWN])) + (" …" if len(users) > _NAMES_SHOWN else "")
        count = "1 policy" if len(users) == 1 else f"{len(users)} policies"
        return [_problem(key, "", f"still holds {count}: {shown}", "delete or move them first")]

    async def _other_blocks(self, pool: IPPool) -> list[Problem]:
        """Blocks that an earlier pool left there, with addresses in use, decide on the size of all."""
        cidr = Cidr.parse(pool.spec.cidr)
        others = [one for one in await self._blocks() if cidr.overlaps(one) and one.length != pool.spec.block_size]
        if not others:
            return []
        problem = f"is {pool.spec.block_size}, and there is a block of another size: {others[0]}"
        remedy = f"take {others[0].length}, or release its addresses first (ipam check tells them)"
        return [_problem(pool.key, "spec.blockSize", problem, remedy)]

    async def _overlaps(self, pool: IPPool) -> list[Problem]:
        cidr = Cidr.parse(pool.spec.cidr)
        return [
            _problem(pool.key, "spec.cidr", f"{cidr} overlaps {other.key} ({other.spec.cidr})", "take another range")
            for other in await self._list("IPPool")
            if isinstance(other, IPPool) and other.key != pool.key and cidr.overlaps(Cidr.parse(other.spec.cidr))
        ]


LOAD_BALANCER = "LoadBalancer"
"""A use of pools that stands alone, and stays."""


def _tier(policy: Resource) -> str:
    return policy.spec.tier or "default" if isinstance(policy, _Policy) else ""


def _moved_pool(pool: IPPool, old: Resource | None) -> list[Problem]:
    if not isinstance(old, IPPool):
        return []
    fields = (
        ("cidr", old.spec.cidr, pool.spec.cidr),
        ("blockSize", old.spec.block_size, pool.spec.block_size),
    )
    found = [
        _problem(pool.key, f"spec.{field}", f"cannot change from {before} to {after}", "make a new pool")
        for field, before, after in fields
        if before and before != after
    ]
    if LOAD_BALANCER in old.spec.allowed_uses and LOAD_BALANCER not in pool.spec.allowed_uses:
        found.append(_problem(pool.key, "spec.allowedUses", f"cannot lose {LOAD_BALANCER}", "make a new pool"))
    return found


def _built_in(key: ResourceKey) -> list[Problem]:
    return [_problem(key, "", "is built in and cannot be written or deleted")] if key == ALLOW_PROFILE.key else []


def _problem(key: ResourceKey, path: str, problem: str, remedy: str = "") -> Problem:
    return Problem(str(key), path, problem, remedy)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidResource(*problems)
