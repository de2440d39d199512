"""Reading stored resources: what short commands need, without what writers need."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Sequence

from tortie.api.builtin import ALLOW_PROFILE
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource, ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.keys import BLOCK_PREFIX, parse_key, parse_resource_key, resource_key, resource_prefix
from tortie.datastore.values import decode_resource

_DECODE_SLICE = 500

INFORMATION = ResourceKey("ClusterInformation", "", "default")
"""What says which cluster it is, and whether it is locked."""

_log = Logger(__name__)

Unreadable = Callable[[ResourceKey, str], None]
Seen = Callable[[ResourceKey, bytes], None]


def log_unreadable(key: ResourceKey, problem: str) -> None:
    """Write to the log that something stored cannot be read."""
    _log.warning("stored_resource_unreadable", key=str(key), problem=problem)


class UnreadableResource(InvalidResource):
    """What is stored under the key of a resource is none.

    Args:
        key: the resource.
        stored: what is there.
        reason: what is wrong with it.
    """

    def __init__(self, key: ResourceKey, stored: KeyValue, reason: str) -> None:
        self.key = key
        self.stored = stored
        self.reason = reason
        super().__init__(Problem(str(key), "", f"is stored, but cannot be read: {reason}", _remedy(key)))


class ResourceReader:
    """Reads resources of the kinds in `tortie.api.kinds`. All calls raise Unavailable.

    Args:
        datastore: where they are kept; not closed by this object.
        unreadable: is told of each resource that a list leaves out, and why.
        seen: is told the bytes of each resource that is read.
    """

    def __init__(self, datastore: Datastore, unreadable: Unreadable = log_unreadable, seen: Seen | None = None) -> None:
        self._datastore = datastore
        self._seen = seen
        self._unreadable = unreadable

    @property
    def datastore(self) -> Datastore:
        """The keys and bytes that resources are read from."""
        return self._datastore

    async def get(self, key: ResourceKey) -> Resource | None:
        """One resource with its revision as `resource_version`, or None.

        Raises:
            UnreadableResource: what is stored is not a resource of this kind.
        """
        key = located(key)
        if key == ALLOW_PROFILE.key:
            return ALLOW_PROFILE
        stored = await self._datastore.get(resource_key(key))
        try:
            return None if stored is None else self._decoded(key, stored)
        except InvalidResource as error:
            assert stored is not None, "what is not there is read as None"
            raise UnreadableResource(key, stored, _reasons(error)) from error

    async def list(self, kind: str, namespace: str | None = None) -> Sequence[Resource]:
        """All resources of a kind, or of one namespace of it, by namespace and name; unreadable ones are left out."""
        found: dict[ResourceKey, Resource] = {}
        for position, item in enumerate(await self._stored(kind, namespace)):
            if resource := self._readable(item):
                found[resource.key] = resource
            if position % _DECODE_SLICE == _DECODE_SLICE - 1:
                await asyncio.sleep(0)
        if kind == ALLOW_PROFILE.kind:
            found[ALLOW_PROFILE.key] = ALLOW_PROFILE
        return [found[key] for key in sorted(found)]

    async def keys(self, kind: str, namespace: str | None = None) -> builtins.list[ResourceKey]:
        """Which resources of a kind, or of one namespace of it, there are, readable or not, in order."""
        named = {parse_resource_key(item.key) for item in await self._stored(kind, namespace)}
        if kind == ALLOW_PROFILE.kind:
            named.add(ALLOW_PROFILE.key)
        return sorted(key for key in named if key is not None)

    async def blocks(self) -> builtins.list[Cidr]:
        """Which blocks of addresses there are, readable or not."""
        named = (parse_key(item.key) for item in (await self._datastore.list(BLOCK_PREFIX)).items)
        return [Cidr.parse(name.name) for name in named if name is not None]

    async def _stored(self, kind: str, namespace: str | None) -> Sequence[KeyValue]:
        prefix = resource_prefix(kind, namespace if KINDS[kind].namespaced else None)
        return (await self._datastore.list(prefix)).items

    def _readable(self, item: KeyValue) -> Resource | None:
        key = parse_resource_key(item.key)
        if key is None:
            return None
        try:
            return self._decoded(key, item)
        except InvalidResource as error:
            self._unreadable(key, told_unreadable(key, error))
            return None

    def _decoded(self, key: ResourceKey, item: KeyValue) -> Resource:
        resource = decode_resource(key, item.value, item.revision)
        if self._seen:
            self._seen(key, item.value)
        return resource


def located(key: ResourceKey) -> ResourceKey:
    """The key without a namespace that its kind does not have."""
    return key if KINDS[key.kind].namespaced else ResourceKey(key.kind, "", key.name)


def told_unreadable(key: ResourceKey, error: InvalidResource) -> str:
    """What is wrong with what is stored under the key of a resource, and what to do about it."""
    return f"{_reasons(error)} ({_remedy(key)})"


def _reasons(error: InvalidResource) -> str:
    return "; ".join(f"{one.path}: {one.problem}" if one.path else one.problem for one in error.problems)


def _remedy(key: ResourceKey) -> str:
    if key == INFORMATION:
        return f"write it anew with apply, with the clusterGUID that it had; its key is {resource_key(key)}"
    return f"write it anew with apply, or delete it; its key is {resource_key(key)}"
