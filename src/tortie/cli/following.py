"""Following changes for people: what is there, then every change, until interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from tortie.api.kinds import KINDS
from tortie.api.resource import Resource, ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource
from tortie.cli.connection import warn_unreadable, with_datastore
from tortie.cli.output import say_now
from tortie.cli.printers import Changed, Printer
from tortie.cli.selection import Selection
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key, resource_prefix
from tortie.datastore.location import Location
from tortie.datastore.reading import told_unreadable
from tortie.datastore.stream import Change, ResourceStream
from tortie.datastore.values import decode_resource

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


def follow(
    location: Location, wanted: Selection, keep: Callable[[Resource], bool], printer: Printer, *, initial: bool
) -> None:
    """Print a selection and each change of it; lost connections and compacted history are waited out.

    Args:
        keep: which resources count; one that no longer does, or cannot be read any more, is shown as deleted.
        initial: show what is there at first.
    """

    async def work(datastore: Datastore) -> None:
        await datastore.get(prefixes_of(wanted)[0])  # who asks for the first time is told at once that nobody answers
        known: dict[ResourceKey, Resource] = {}
        in_sync = False
        async with contextlib.aclosing(stream_of(datastore, wanted).batches()) as batches:
            async for batch in batches:
                news = batch.changes if in_sync else sorted(batch.changes, key=lambda change: change.key)
                changes = list(_changes(news, wanted, keep, known))
                if changes and (in_sync or initial):
                    say_now(printer.changes(changes).removesuffix("\n"))
                in_sync = batch.in_sync

    with_datastore(location, work)


def stream_of(datastore: Datastore, wanted: Selection) -> ResourceStream:
    """A stream of no more than what a selection is stored under; what cannot be read is told to standard error."""

    def decoded(key: ResourceKey, data: bytes, revision: int) -> Resource:
        try:
            return decode_resource(key, data, revision)
        except InvalidResource as error:
            if wanted.includes(key):
                warn_unreadable(key, told_unreadable(key, error))
            raise

    return ResourceStream(datastore, wanted.kinds, SystemClock(), decoded, prefixes=prefixes_of(wanted))


def prefixes_of(wanted: Selection) -> list[str]:
    """What the keys of a selection begin with."""
    if wanted.keys is not None:
        return [resource_key(key) for key in wanted.keys]
    return [resource_prefix(kind, wanted.namespace if KINDS[kind].namespaced else None) for kind in wanted.kinds]


def _changes(
    changes: Iterable[Change], wanted: Selection, keep: Callable[[Resource], bool], known: dict[ResourceKey, Resource]
) -> Iterator[Changed]:
    """What changes mean to someone who knows `known`, which is brought up to date."""
    for change in changes:
        resource = change.value
        if not wanted.includes(change.key):
            continue
        before = known.pop(change.key, None)
        if isinstance(resource, Resource) and keep(resource):
            known[change.key] = resource
            yield Changed(MODIFIED if before else ADDED, resource)
        elif before:
            yield Changed(DELETED, before)
