"""What a command is about to write: worked out and judged against the datastore before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from tortie.api.codec import encode
from tortie.api.documents import Document
from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Metadata, Resource, ResourceKey
from tortie.base.errors import (
    AlreadyExists,
    Conflict,
    InvalidResource,
    NotFound,
    Problem,
    StaleRevision,
    TortieError,
)
from tortie.cli.manifests import Manifest, Named, placed, rank
from tortie.cli.selection import near_keys
from tortie.datastore.reading import UnreadableResource
from tortie.datastore.references import References
from tortie.datastore.resources import ResourceStore

REMEDIES: dict[type[TortieError], tuple[str, str]] = {
    AlreadyExists: ("", "change it with apply or replace, or leave it alone with --skip-exists"),
    NotFound: ("", "see what there is with get"),
    StaleRevision: ("metadata.resourceVersion", "read it again, or leave resourceVersion out to overwrite it"),
}
"""The field that a conflict is about, and what to do."""


class Wish(msgspec.Struct, frozen=True):
    """A resource as someone wants it.

    Args:
        make: what to store in place of what is stored; None stands for nothing. Raises TortieError.
        revision: which the stored one must be at; empty for any.
        uid: whose revision that is, where it is told.
        may_create, may_change: whether it may be absent, or there.
        skip: what is there already is left alone.
        whole: it describes all of the object, so that it can take the place of one that cannot be read.
        document: where it is described.
    """

    key: ResourceKey
    make: Callable[[Resource | None], Resource]
    revision: str = ""
    uid: str = ""
    may_create: bool = True
    may_change: bool = True
    skip: bool = False
    whole: bool = False
    document: Document | None = None


class Step(msgspec.Struct, frozen=True):
    """One write: `before` is what is stored, `after` what shall be; None is nothing.

    Args:
        wish: what it comes from; None for a deletion.
        unreadable: what is stored is no resource, for this reason.
    """

    key: ResourceKey
    before: Resource | None
    after: Resource | None
    wish: Wish | None = None
    revision: str = ""
    unreadable: UnreadableResource | None = None

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        if self.before is None or self.after is None:
            return self.after is not self.before or self.unreadable is not None
        return encode(self.before) != encode(self.after)


class Refusal(msgspec.Struct, frozen=True):
    """A write that cannot be: the error, and the same for people, with its place."""

    key: ResourceKey
    error: TortieError
    problems: tuple[Problem, ...]


class Plan(msgspec.Struct, frozen=True):
    """Steps in the order in which to take them, and what cannot be done."""

    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...] = ()


def wish_for(manifest: Manifest, *, may_create: bool = True, may_change: bool = True, skip: bool = False) -> Wish:
    """The wish that the datastore hold what a file says."""
    resource = manifest.resource
    return Wish(
        key=resource.key,
        make=lambda stored: _fresh(resource) if stored is None else _over(resource, stored),
        revision=resource.metadata.resource_version if may_change else "",
        uid=resource.metadata.uid,
        may_create=may_create,
        may_change=may_change,
        skip=skip,
        whole=True,
        document=manifest.document,
    )


async def plan_writes(store: ResourceStore, wishes: Sequence[Wish], mentioned: Collection[ResourceKey] = ()) -> Plan:
    """How to fulfil wishes; every one that cannot be is refused with all reasons.

    Args:
        mentioned: what the input tries to describe, too: that it is missing needs no second complaint.
    """
    steps: list[Step] = []
    refusals: list[Refusal] = []
    for wish in wishes:
        try:
            steps.append(await step_for(store, wish))
        except NotFound as error:
            refusals.append(await _absence(store, wish.key, error, wish.document))
        except (Conflict, InvalidResource) as error:
            refusals.append(refusal(wish.key, error, wish.document))
    refused = await _judge(store, steps, mentioned)
    dead = {one.key for one in refused}
    return Plan(tuple(step for step in steps if step.key not in dead), (*refusals, *refused))


async def rehearse(store: ResourceStore, plan: Plan) -> Plan:
    """The plan without the steps that the datastore would refuse, as too large or not allowed."""
    writes = {step.key: step.after for step in plan.steps if step.changes}
    errors = await store.rehearse(writes) if writes else {}
    documents = {step.key: step.wish.document for step in plan.steps if step.wish}
    refused = [refusal(key, error, documents.get(key)) for key, error in errors.items()]
    return Plan(tuple(step for step in plan.steps if step.key not in errors), (*plan.refusals, *refused))


async def plan_deletions(store: ResourceStore, names: Sequence[Named], *, skip_absent: bool) -> Plan:
    """How to delete objects, those that others refer to last, and which cannot be deleted once the rest is gone."""
    steps: list[Step] = []
    refusals: list[Refusal] = []
    for named in sorted(names, key=lambda named: -rank(named.key.kind)):
        try:
            stored = await _stored(store, named.key)
            expected = _expected(named, stored)
            _check_revision(named.key, expected, stored.metadata.resource_version)
            steps.append(Step(named.key, stored, None, revision=expected))
        except NotFound as error:
            if not skip_absent:
                refusals.append(await _absence(store, named.key, error, named.document))
        except UnreadableResource as error:
            steps.append(Step(named.key, None, None, revision=named.revision, unreadable=error))
        except (Conflict, InvalidResource) as error:
            refusals.append(refusal(named.key, error, named.document))
    references = references_after(store, {step.key: None for step in steps})
    for step in list(steps):
        if problems := await references.delete_problems(step.key):
            steps.remove(step)
            refusals.append(refusal(step.key, InvalidResource(*problems)))
    return Plan(tuple(steps), tuple(refusals))


class _Keyed(Protocol):
    @property
    def key(self) -> ResourceKey: ...


Keyed = TypeVar("Keyed", bound=_Keyed)


HOST_KINDS = frozenset(
    {"HostEndpoint", "GlobalNetworkPolicy", "GlobalNetworkSet", "Profile", "Tier", "FelixConfiguration"}
)
"""Of which a change can lock somebody out of a host."""


def lock_out(key: ResourceKey, lost: Sequence[str]) -> Refusal:
    """The refusal of a change that would lock somebody out."""
    remedy = "try it with --confirm 60s, or insist with --force"
    problems = tuple(Problem(str(key), "", f"would cut {one}") for one in lost[:-1])
    last = Problem(str(key), "", f"would cut {lost[-1]}", remedy)
    return Refusal(key, Conflict(str(key), "would lock somebody out"), (*problems, last))


def forbidden(reason: Callable[[ResourceKey], str], wanted: Iterable[Keyed]) -> tuple[list[Refusal], list[Keyed]]:
    """Split what is wanted into what may not be written, and what may.

    Args:
        reason: why an object may not be written; empty when it may.
    """
    refused: list[Refusal] = []
    allowed: list[Keyed] = []
    for one in wanted:
        if why := reason(one.key):
            refused.append(Refusal(one.key, Conflict(str(one.key), why), (Problem(str(one.key), "", why),)))
        else:
            allowed.append(one)
    return refused, allowed


async def step_for(store: ResourceStore, wish: Wish) -> Step:
    """What is to be written now for a wish.

    Raises:
        AlreadyExists, NotFound, StaleRevision: it may not be, as things are.
        InvalidResource: it makes no sense.
    """
    stored, unreadable, revision = None, None, ""
    try:
        stored = await store.get(wish.key)
        revision = stored.metadata.resource_version if stored else ""
    except UnreadableResource as error:
        if not wish.whole:
            raise
        unreadable, revision = error, str(error.stored.revision)
    if not revision and stored is None and not wish.may_create:
        raise NotFound(str(wish.key))
    if stored is not None and wish.skip:
        return Step(wish.key, stored, stored, wish)
    if (stored is not None or unreadable) and not wish.may_change:
        raise AlreadyExists(str(wish.key))
    expected = _expected(wish, stored)
    _check_revision(wish.key, expected, revision)
    return Step(wish.key, stored, wish.make(stored), wish, expected, unreadable)


def refusal(key: ResourceKey, error: TortieError, document: Document | None = None) -> Refusal:
    """A refusal with problems that say what to do, and where."""
    if isinstance(error, InvalidResource):
        problems = error.problems
    else:
        path, remedy = REMEDIES.get(type(error), ("", ""))
        problems = (Problem(str(key), path, str(error).removeprefix(f"{key}: "), remedy),)
    return Refusal(key, error, tuple(placed(one, document) for one in problems) if document else problems)


async def _absence(store: ResourceStore, key: ResourceKey, error: NotFound, document: Document | None) -> Refusal:
    """A refusal that says which objects may have been meant."""
    near = near_keys(key, await store.keys(key.kind))
    if not near:
        return refusal(key, error, document)
    problem = Problem(str(key), "", "does not exist", f"did you mean {' or '.join(map(str, near))}?")
    return Refusal(key, error, (placed(problem, document) if document else problem,))


async def _judge(store: ResourceStore, steps: Sequence[Step], mentioned: Collection[ResourceKey]) -> list[Refusal]:
    """Which steps break a rule between resources, seen as if all of them were taken."""
    there = {key: Resource(metadata=Metadata(name=key.name)) for key in mentioned}
    references = references_after(store, there | {step.key: step.after for step in steps})
    refused = []
    for step in steps:
        if step.after is not None and step.changes:
            problems = await references.write_problems(step.after, step.before)
            problems += await store.losses(step.after) if step.before is not None else []
            if problems:
                document = step.wish.document if step.wish else None
                refused.append(refusal(step.key, InvalidResource(*problems), document))
    return refused


def references_after(store: ResourceStore, planned: Mapping[ResourceKey, Resource | None]) -> References:
    """The rules, as of the moment after everything that is planned; what is read is read once."""
    read: dict[ResourceKey, Resource | None] = dict(planned)
    listed: dict[str, list[Resource]] = {}

    async def get(key: ResourceKey) -> Resource | None:
        if key not in read:
            read[key] = await store.get(key)
        return read[key]

    async def list_kind(kind: str) -> Sequence[Resource]:
        if kind not in listed:
            stored = [resource for resource in await store.list(kind) if resource.key not in planned]
            listed[kind] = [*stored, *_of_kind(planned.values(), kind)]
        return listed[kind]

    return References(get, list_kind, store.blocks)


def _of_kind(resources: Iterable[Resource | None], kind: str) -> list[Resource]:
    return [resource for resource in resources if resource is not None and resource.kind == kind]


async def _stored(store: ResourceStore, key: ResourceKey) -> Resource:
    stored = await store.get(key)
    if stored is None:
        raise NotFound(str(key))
    return stored


def _expected(wanted: Wish | Named, stored: Resource | None) -> str:
    """The revision to insist on; that of an object in Kubernetes says nothing of its copy here."""
    if stored is None or KINDS[wanted.key.kind].api_version == API_VERSION:
        return wanted.revision
    return wanted.revision if wanted.uid in ("", stored.metadata.uid) else ""


def _check_revision(key: ResourceKey, expected: str, actual: str) -> None:
    """Refuse to write over another revision than the expected one, if any is expected and anything is there."""
    if not expected or not actual or actual == expected:
        return
    if not (expected.isascii() and expected.isdigit()):
        problem = Problem(str(key), "metadata.resourceVersion", f"{expected!r} is no revision", "leave it out")
        raise InvalidResource(problem)
    raise StaleRevision(str(key), int(expected), int(actual))


def _fresh(resource: Resource) -> Resource:
    """A resource as one that has never been stored: whose it was elsewhere is left behind."""
    given = resource.metadata
    metadata = Metadata(name=given.name, namespace=given.namespace, labels=given.labels, annotations=given.annotations)
    return msgspec.structs.replace(resource, metadata=metadata)


def _over(resource: Resource, stored: Resource) -> Resource:
    """A resource with the identity, the owners and, unless it has its own, the status of the stored one."""
    given = resource.metadata
    metadata = msgspec.structs.replace(stored.metadata, labels=given.labels, annotations=given.annotations)
    changed = msgspec.structs.replace(resource, metadata=metadata)
    status = getattr(resource, "status", None)
    if hasattr(stored, "status") and (status is None or status == type(status)()):
        changed = msgspec.structs.replace(changed, status=stored.status)
    return changed
