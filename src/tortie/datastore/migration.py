"""Moving a whole datastore: lock it, take it out, bring it in somewhere else, and verify what arrived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import msgspec

from tortie.api.clusterinformation import ClusterInformation
from tortie.api.codec import decode, encode
from tortie.base.errors import AlreadyExists, InvalidResource, NotFound, Problem
from tortie.datastore.archive import FORMAT, IMPORT_KEY, ROOTS, Archive, Header, is_moved
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.reading import INFORMATION, ResourceReader
from tortie.datastore.resources import ResourceStore

INFORMATION_KEY = resource_key(INFORMATION)

WRITERS = 32
"""Keys written at the same time."""

_SHOWN = 5

Progress = Callable[[int, int], None]
"""Told how many of how many keys are done."""


class ImportPlan(msgspec.Struct, frozen=True):
    """What an import has to do, and what stands in its way.

    Args:
        missing: keys to write, with their bytes.
        present: keys that are there already, as they should be.
        different: keys that hold something else.
        foreign: keys that are there and not in the archive.
    """

    missing: Mapping[str, bytes]
    present: int
    different: tuple[str, ...]
    foreign: tuple[str, ...]


class UnfinishedImport(InvalidResource):
    """An archive is being brought into this datastore, or was until something interrupted that."""

    def __init__(self) -> None:
        remedy = (
            "run `tortie datastore migrate import` with the same file again, which goes on where it ended; "
            "or give it up and use what is there with `tortie datastore migrate unlock --force`"
        )
        super().__init__(Problem("datastore", "", "is being imported into, and not complete", remedy))


async def refuse_while_importing(datastore: Datastore) -> None:
    """Raises UnfinishedImport: what is written now would stand in the way of what is to come."""
    if await datastore.get(IMPORT_KEY) is not None:
        raise UnfinishedImport


async def give_up_import(datastore: Datastore) -> None:
    """Take what was brought in so far for all there is."""
    with contextlib.suppress(NotFound):
        await datastore.delete(IMPORT_KEY)


async def is_locked(store: ResourceReader) -> bool:
    """Whether agents and writers of addresses have been told to wait."""
    information = await store.get(INFORMATION)
    return isinstance(information, ClusterInformation) and information.spec.datastore_ready is False


async def set_ready(store: ResourceStore, ready: bool) -> bool:
    """Lock or unlock a datastore, which is initialized if it never was; whether that changed anything."""
    await store.ensure_initialized()
    information = await store.get(INFORMATION)
    if not isinstance(information, ClusterInformation):
        raise NotFound(str(INFORMATION))
    if information.spec.datastore_ready is ready:
        return False
    spec = msgspec.structs.replace(information.spec, datastore_ready=ready)
    await store.update(msgspec.structs.replace(information, spec=spec))
    return True


async def take(datastore: Datastore, taken: str) -> Archive:
    """Everything that a datastore holds, at one revision for each root; locked, it is one instant for all.

    Args:
        taken: the time, RFC 3339.
    """
    listings = [await datastore.list(root) for root in ROOTS]
    values = {item.key: item.value for listing in listings for item in listing.items if is_moved(item.key)}
    header = Header(
        format=FORMAT,
        version=1,
        cluster=_cluster(values),
        revision=listings[-1].revision,
        keys=len(values),
        taken=taken,
    )
    return Archive(header, values)


def plan_import(archive: Archive, existing: Mapping[str, bytes]) -> ImportPlan:
    """What there is to do. Pure."""
    wanted = locked(archive.values)
    return ImportPlan(
        missing={key: value for key, value in wanted.items() if key not in existing},
        present=sum(existing.get(key) == value for key, value in wanted.items()),
        different=tuple(key for key, value in wanted.items() if existing.get(key, value) != value),
        foreign=tuple(sorted(existing.keys() - wanted.keys())),
    )


async def bring(datastore: Datastore, archive: Archive, progress: Progress) -> ImportPlan:
    """Write an archive into an empty datastore, or go on where an earlier attempt ended; it stays locked.

    Every key is created, never overwritten, and all are read again and compared in the end. Until then a key of
    ours says that the import is not finished.

    Raises:
        InvalidResource: the datastore holds something else, before or after.
        Unavailable: it stopped answering; the same call goes on later.
    """
    plan = plan_import(archive, await _existing(datastore))
    _refuse_others(plan)
    await _create(datastore, IMPORT_KEY, msgspec.json.encode(archive.header))
    await _create_all(datastore, plan, progress)
    verified = plan_import(archive, await _existing(datastore))
    _refuse_others(verified)
    if verified.missing:
        raise _refusal(f"{len(verified.missing)} keys are not there after all: {_some(tuple(verified.missing))}")
    await give_up_import(datastore)
    return plan


def locked(values: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same content with the lock set: what is brought in is not used before somebody says so."""
    if INFORMATION_KEY not in values:
        return dict(values)
    information = decode("ClusterInformation", values[INFORMATION_KEY])
    assert isinstance(information, ClusterInformation)
    if information.spec.datastore_ready is False:
        return dict(values)
    spec = msgspec.structs.replace(information.spec, datastore_ready=False)
    return {**values, INFORMATION_KEY: encode(msgspec.structs.replace(information, spec=spec))}


async def _existing(datastore: Datastore) -> dict[str, bytes]:
    found = [item for root in ROOTS for item in (await datastore.list(root)).items]
    return {item.key: item.value for item in found if is_moved(item.key)}


async def _create_all(datastore: Datastore, plan: ImportPlan, progress: Progress) -> None:
    """The lock first; then everything, so many at a time."""
    total, done = plan.present + len(plan.missing), plan.present
    waiting = dict(plan.missing)
    if INFORMATION_KEY in waiting:
        await _create(datastore, INFORMATION_KEY, waiting.pop(INFORMATION_KEY))
        done += 1
    items = iter(waiting.items())

    async def write() -> None:
        nonlocal done
        for key, value in items:
            await _create(datastore, key, value)
            done += 1
            progress(done, total)

    progress(done, total)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(write())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _create(datastore: Datastore, key: str, value: bytes) -> None:
    try:
        await datastore.create(key, value)
    except AlreadyExists:
        # Ours, when the answer to an earlier attempt was lost: the comparison in the end tells.
        return


def _cluster(values: Mapping[str, bytes]) -> str:
    try:
        information = decode("ClusterInformation", values.get(INFORMATION_KEY, b""))
    except InvalidResource:
        return ""
    return information.spec.cluster_guid if isinstance(information, ClusterInformation) else ""


def _refuse_others(plan: ImportPlan) -> None:
    if plan.different:
        raise _refusal(f"{_count(plan.different, 'holds', 'hold')} something else: {_some(plan.different)}")
    if plan.foreign:
        raise _refusal(
            f"{_count(plan.foreign, 'is', 'are')} there that the archive does not hold: {_some(plan.foreign)}"
        )


def _count(keys: tuple[str, ...], one: str, several: str) -> str:
    return f"1 key {one}" if len(keys) == 1 else f"{len(keys)} keys {several}"


def _some(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")


def _refusal(problem: str) -> InvalidResource:
    return InvalidResource(Problem("datastore", "", problem, "import into an empty datastore; nothing was overwritten"))
