"""Rules that involve more than one resource: tiers and their policies, pools beside pools, names made of fields."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tortie.api.builtin import ALLOW_PROFILE, TIERS
from tortie.api.ippool import IPPool
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.resource import Resource, ResourceKey
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicy, StagedNetworkPolicy
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.datastore.names import name_of_workload_endpoint

Get = Callable[[ResourceKey], Awaitable[Resource | None]]
List = Callable[[str], Awaitable[Sequence[Resource]]]

_Policy = NetworkPolicy | GlobalNetworkPolicy | StagedNetworkPolicy | StagedGlobalNetworkPolicy
_POLICY_KINDS = ("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy")
_BUILT_IN = frozenset(tier.metadata.name for tier in TIERS)
_NAMES_SHOWN = 5


class References:
    """Refuses what would break a rule. Nothing is locked: a writer at the same instant can still get past.

    Args:
        get: reads one resource.
        list: reads all resources of a kind.
    """

    def __init__(self, get: Get, list: List) -> None:
        self._get = get
        self._list = list

    async def check_write(self, resource: Resource, old: Resource | None) -> None:
        """Raises InvalidResource when the resource may not be written in place of `old`."""
        match resource:
            case _ if isinstance(resource, _Policy):
                await self._require_tier(resource.key, _tier(resource))
            case IPPool():
                _refuse_moved_pool(resource, old)
                await self._refuse_overlap(resource)
            case WorkloadEndpoint():
                _require_computed_name(resource)
        _refuse_default_allow(resource.key)

    async def check_delete(self, key: ResourceKey) -> None:
        """Raises InvalidResource when the resource may not be deleted."""
        _refuse_default_allow(key)
        if key.kind == "Tier":
            await self._refuse_used_tier(key)

    async def _require_tier(self, policy: ResourceKey, tier: str) -> None:
        if tier in _BUILT_IN or await self._get(ResourceKey("Tier", "", tier)) is not None:
            return
        raise _refusal(policy, "spec.tier", f"there is no tier {tier!r}", "create the tier first")

    async def _refuse_used_tier(self, key: ResourceKey) -> None:
        if key.name in _BUILT_IN:
            raise _refusal(key, "", "is built in and cannot be deleted")
        users = [policy.key for kind in _POLICY_KINDS for policy in await self._list(kind) if _tier(policy) == key.name]
        if users:
            shown = ", ".join(map(str, users[:_NAMES_SHOWN])) + (" …" if len(users) > _NAMES_SHOWN else "")
            raise _refusal(key, "", f"still holds {len(users)} policies: {shown}", "delete or move them first")

    async def _refuse_overlap(self, pool: IPPool) -> None:
        cidr = Cidr.parse(pool.spec.cidr)
        for other in await self._list("IPPool"):
            if not isinstance(other, IPPool) or other.key == pool.key:
                continue
            if cidr.overlaps(Cidr.parse(other.spec.cidr)):
                raise _refusal(pool.key, "spec.cidr", f"{cidr} overlaps {other.key} ({other.spec.cidr})")


def _tier(policy: Resource) -> str:
    return policy.spec.tier or "default" if isinstance(policy, _Policy) else ""


def _refuse_moved_pool(pool: IPPool, old: Resource | None) -> None:
    if not isinstance(old, IPPool):
        return
    for field, before, after in (
        ("cidr", old.spec.cidr, pool.spec.cidr),
        ("blockSize", old.spec.block_size, pool.spec.block_size),
    ):
        if before and before != after:
            raise _refusal(pool.key, f"spec.{field}", f"cannot change from {before} to {after}", "make a new pool")


def _require_computed_name(endpoint: WorkloadEndpoint) -> None:
    try:
        name = name_of_workload_endpoint(endpoint.spec)
    except ValueError as error:
        raise _refusal(endpoint.key, "spec", str(error)) from error
    if endpoint.metadata.name != name:
        raise _refusal(endpoint.key, "metadata.name", "does not follow from the specification", f"must be {name}")


def _refuse_default_allow(key: ResourceKey) -> None:
    if key == ALLOW_PROFILE.key:
        raise _refusal(key, "", "is built in and cannot be written or deleted")


def _refusal(key: ResourceKey, path: str, problem: str, remedy: str = "") -> InvalidResource:
    return InvalidResource(Problem(str(key), path, problem, remedy))
