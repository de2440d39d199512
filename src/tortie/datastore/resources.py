"""Typed access to stored resources: defaults, validation, references, revisions and compare-and-swap."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from tortie.api import codec
from tortie.api.builtin import TIERS
from tortie.api.clusterinformation import ClusterInformation
from tortie.api.defaults import with_defaults
from tortie.api.foreign import CarriedOver, carry_over
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.validation import validate
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import (
    AlreadyExists,
    Conflict,
    InvalidResource,
    NotFound,
    Problem,
    StaleRevision,
    TortieError,
)
from tortie.base.logs import Logger
from tortie.datastore.changelog import RECORDED, Origin
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.identity import legible_guid, with_guid, with_identity
from tortie.datastore.journal import Journal, Replacement
from tortie.datastore.keys import resource_key
from tortie.datastore.reading import (
    INFORMATION,
    ResourceReader,
    Unreadable,
    UnreadableResource,
    located,
    log_unreadable,
)
from tortie.datastore.references import References

_log = Logger(__name__)

_UNKNOWN = "was stored by a newer version, is not known here, and would be lost"
_UNKNOWN_REMEDY = "change this part with the version that wrote it, or delete the object first"

_APPLY_ATTEMPTS = 100

Outcome = Literal["created", "configured", "unchanged"]


class Applied(msgspec.Struct, frozen=True, gc=False):
    """A resource as it is now stored, and what `apply` had to do for it."""

    resource: Resource
    outcome: Outcome


class ResourceStore(ResourceReader):
    """Reads and writes resources of the kinds in `tortie.api.kinds`. All calls raise Unavailable.

    Args:
        datastore: where they are kept; not closed by this object.
        clock: stamps creation times, and paces retries.
        check_selector: what is wrong with a selector's text, or None.
        new_uid: makes the identity of a new resource.
        origin: who writes, for the record.
    """

    def __init__(
        self,
        datastore: Datastore,
        clock: Clock,
        check_selector: Callable[[str], str | None],
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
        unreadable: Unreadable = log_unreadable,
        origin: Origin = Origin(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(datastore, unreadable)
        self.journal = Journal(datastore, clock, origin)
        self._clock = clock
        self._check_selector = check_selector
        self._new_uid = new_uid
        self._references = References(self.get, self.list, self.blocks)

    async def create(self, resource: Resource) -> Resource:
        """Store a new resource; returns it with defaults, uid, creation time and revision.

        Raises:
            InvalidResource: the resource or one of its references is wrong.
            AlreadyExists: there is one of this name.
        """
        if resource.metadata.resource_version:
            problem = Problem(str(resource.key), "metadata.resourceVersion", "a new resource has none", "leave it out")
            raise InvalidResource(problem)
        resource = self._checked(resource)
        await self._references.check_write(resource, None)
        return await self._create(resource)

    async def update(self, resource: Resource, *, keep_unknown: bool = False) -> Resource:
        """Replace the resource that `metadata.resource_version` says was read; writes nothing when it is equal.

        Args:
            keep_unknown: refuse to lose what a newer writer stored and is not known here.

        Raises:
            InvalidResource: the resource or one of its references is wrong, or it has no revision.
            NotFound: it has been deleted.
            StaleRevision: it has been written since.
        """
        expected = _expected_revision(resource)
        resource = self._checked(resource)
        stored = await self._datastore.get(resource_key(resource.key))
        if stored is None:
            raise NotFound(str(resource.key))
        if stored.revision != expected:
            raise StaleRevision(str(resource.key), expected, stored.revision)
        return (await self._replace(resource, stored, keep_status=False, refuse=keep_unknown)).resource

    async def losses(self, resource: Resource) -> list[Problem]:
        """What a newer writer stored, is not known here, and would be lost by writing this resource in its place."""
        stored = await self._datastore.get(resource_key(resource.key))
        old = None if stored is None else self._readable(stored)
        if stored is None or old is None or old.partial:
            return []
        return _lost(old, _carried(stored, old, codec.encode(resource)))

    async def apply(self, resource: Resource) -> Applied:
        """Make the stored resource like this one, whatever revision it is at; an empty status leaves the stored one.

        Raises:
            InvalidResource: the resource or one of its references is wrong.
            Conflict: others write it all the time.
        """
        resource = self._checked(resource)
        backoff = Backoff(first=0.002, limit=0.1)
        for _ in range(_APPLY_ATTEMPTS):
            try:
                return await self._apply_once(resource)
            except (AlreadyExists, NotFound, StaleRevision):
                await self._clock.sleep(backoff.next())
        raise Conflict(str(resource.key), "is being written by others all the time")

    async def replacement(self, resource: Resource) -> Replacement:
        """What would be written to make the stored resource like this one, for those who write several together.

        Rules between resources are theirs to look after.

        Raises:
            InvalidResource: the resource is wrong, or what a newer writer stored would be lost.
        """
        resource = self._checked(resource)
        stored = await self._datastore.get(resource_key(resource.key))
        old = self._readable(stored) if stored else None
        if stored is None or old is None:
            return Replacement(resource.key, stored, codec.encode(self._identified(resource)))
        data = codec.encode(_with_rest_of(_with_identity_of(resource, old), old))
        return Replacement(resource.key, stored, _with_unknown_fields(stored, old, data, refuse=True))

    async def heal(self, resource: Resource, unreadable: KeyValue) -> Resource:
        """Put a resource in the place of a stored value that cannot be read; the identity of a cluster stays legible.

        Raises:
            InvalidResource: the resource or one of its references is wrong.
            NotFound, StaleRevision: it is no longer what it was.
        """
        resource = self._checked(resource)
        await self._references.check_write(resource, None)
        return await self._replace_unreadable(resource, unreadable)

    async def rehearse(self, writes: Mapping[ResourceKey, Resource | None]) -> Mapping[ResourceKey, TortieError]:
        """What the datastore would refuse of writing resources, or deleting them, whatever it holds."""
        keys = {resource_key(key): key for key in writes}
        values = {text: codec.encode(one) if (one := writes[key]) else b"" for text, key in keys.items()}
        return {keys[text]: error for text, error in (await self._datastore.rehearse(values)).items()}

    async def delete(self, key: ResourceKey, revision: int | None = None) -> None:
        """Remove a resource, if it is at `revision` when given.

        Raises:
            InvalidResource: it is built in, or others refer to it.
            NotFound, StaleRevision: as the names say.
        """
        key = located(key)
        await self._references.check_delete(key)
        with _named(key):
            if key.kind in RECORDED:
                await self._delete_recorded(key, revision)
            else:
                await self._datastore.delete(resource_key(key), revision)

    async def _delete_recorded(self, key: ResourceKey, revision: int | None) -> None:
        backoff = Backoff(first=0.002, limit=0.1)
        for _ in range(_APPLY_ATTEMPTS):
            stored = await self._datastore.get(resource_key(key))
            if stored is None:
                raise NotFound(str(key))
            if revision not in (None, stored.revision):
                raise StaleRevision(str(key), revision or 0, stored.revision)
            try:
                await self.journal.write(Replacement(key, stored, None))
                return
            except StaleRevision:
                await self._clock.sleep(backoff.next())
        raise Conflict(str(key), "is being written by others all the time")

    async def ensure_initialized(self, cluster_type: str = "") -> None:
        """Write what every datastore must hold and this one lacks: the cluster's identity, and the built-in tiers.

        What is there and cannot be read stays as it is.

        Args:
            cluster_type: words for `clusterType`, joined by commas; added to those that are there.
        """
        with contextlib.suppress(UnreadableResource):
            await self._ensure_information(cluster_type)
        for tier in TIERS:
            with contextlib.suppress(AlreadyExists, UnreadableResource):
                if await self.get(tier.key) is None:
                    await self.create(tier)

    async def _ensure_information(self, cluster_type: str) -> None:
        backoff = Backoff(first=0.002, limit=0.1)
        for _ in range(_APPLY_ATTEMPTS):
            found = await self.get(INFORMATION)
            old = found if isinstance(found, ClusterInformation) else None
            wanted = with_identity(old, cluster_type, self._new_uid())
            if wanted == old:
                return
            try:
                await (self.update(wanted) if old else self.create(wanted))
                return
            except (AlreadyExists, NotFound, StaleRevision):
                await self._clock.sleep(backoff.next())
        raise Conflict(str(INFORMATION), "is being written by others all the time")

    def _checked(self, resource: Resource) -> Resource:
        resource = with_defaults(resource)
        validate(resource, self._check_selector)
        return resource

    async def _apply_once(self, resource: Resource) -> Applied:
        stored = await self._datastore.get(resource_key(resource.key))
        if stored is not None:
            return await self._replace(resource, stored, keep_status=True, refuse=True)
        await self._references.check_write(resource, None)
        return Applied(await self._create(resource), "created")

    def _identified(self, resource: Resource) -> Resource:
        metadata = resource.metadata
        return _with_metadata(
            resource,
            uid=metadata.uid or self._new_uid(),
            creation_timestamp=metadata.creation_timestamp or _timestamp(self._clock.now()),
        )

    async def _replace_unreadable(self, resource: Resource, stored: KeyValue) -> Resource:
        if isinstance(resource, ClusterInformation):
            resource = with_guid(resource, legible_guid(stored.value) or self._new_uid().replace("-", ""))
        resource = self._identified(resource)
        with _named(resource.key):
            revision = await self.journal.write(Replacement(resource.key, stored, codec.encode(resource)))
        return _with_metadata(resource, resource_version=str(revision))

    async def _create(self, resource: Resource) -> Resource:
        resource = self._identified(resource)
        with _named(resource.key):
            revision = await self.journal.write(Replacement(resource.key, None, codec.encode(resource)))
        return _with_metadata(resource, resource_version=str(revision))

    async def _replace(self, resource: Resource, stored: KeyValue, *, keep_status: bool, refuse: bool) -> Applied:
        old = self._readable(stored)
        if old is None:
            await self._references.check_write(resource, None)
            return Applied(await self._replace_unreadable(resource, stored), "configured")
        resource = _with_identity_of(resource, old)
        resource = _with_rest_of(resource, old) if keep_status else resource
        await self._references.check_write(resource, old)
        data = codec.encode(resource)
        if codec.encode(old) == data:
            return Applied(old, "unchanged")
        data = _with_unknown_fields(stored, old, data, refuse=refuse)
        with _named(resource.key):
            revision = await self.journal.write(Replacement(resource.key, stored, data))
        return Applied(_with_metadata(resource, resource_version=str(revision)), "configured")


def _with_unknown_fields(stored: KeyValue, old: Resource, data: bytes, *, refuse: bool) -> bytes:
    """What a newer writer stored beyond the fields known here stays, or is not lost without a word."""
    if old.partial:
        return data
    carried = _carried(stored, old, data)
    if carried.lost and refuse:
        raise InvalidResource(*_lost(old, carried))
    if carried.lost:
        _log.warning("unknown_fields_lost", resource=str(old.key), paths=carried.lost)
    return carried.data


def _carried(stored: KeyValue, old: Resource, data: bytes) -> CarriedOver:
    return carry_over(stored.value, codec.encode(with_defaults(old)), data, type(old))


def _lost(old: Resource, carried: CarriedOver) -> list[Problem]:
    return [Problem(str(old.key), path, _UNKNOWN, _UNKNOWN_REMEDY) for path in carried.lost]


def _expected_revision(resource: Resource) -> int:
    text = resource.metadata.resource_version
    if text.isascii() and text.isdigit():
        return int(text)
    problem = Problem(str(resource.key), "metadata.resourceVersion", f"{text!r} is no revision", "read, then update")
    raise InvalidResource(problem)


def _with_identity_of(resource: Resource, old: Resource) -> Resource:
    kept = old.metadata
    return _with_metadata(
        resource,
        uid=kept.uid or resource.metadata.uid,
        creation_timestamp=kept.creation_timestamp or resource.metadata.creation_timestamp,
    )


def _with_rest_of(resource: Resource, old: Resource) -> Resource:
    """What a person who applies a file does not speak of: status, and metadata other than labels and annotations."""
    kept = {
        name: getattr(old.metadata, name)
        for name in Metadata.__struct_fields__
        if name not in ("labels", "annotations") and not getattr(resource.metadata, name)
    }
    resource = _with_metadata(resource, **kept)
    status = getattr(resource, "status", None)
    given = status is not None and status != type(status)()
    return msgspec.structs.replace(resource, status=old.status) if hasattr(old, "status") and not given else resource


def _with_metadata(resource: Resource, **fields: Any) -> Resource:
    return msgspec.structs.replace(resource, metadata=msgspec.structs.replace(resource.metadata, **fields))


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@contextlib.contextmanager
def _named(key: ResourceKey) -> Iterator[None]:
    """Let conflicts speak of the resource, not of where it is stored."""
    try:
        yield
    except AlreadyExists as error:
        raise AlreadyExists(str(key)) from error
    except NotFound as error:
        raise NotFound(str(key)) from error
    except StaleRevision as error:
        raise StaleRevision(str(key), error.expected, error.actual) from error
