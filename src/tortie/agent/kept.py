"""What a node keeps on its disk of changes that are not confirmed, to go back when it reaches nobody any more.

For each change there is a file that says what it is and when its time is over; and, where the datastore is on other
machines, one copy of what the calculation reads, as it was before the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tortie.base.errors import NotFound, StaleRevision
from tortie.base.files import write_atomically
from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.pending import Pending

FOLDER = "pending"
_COPY_TOGETHER = 250

_log = Logger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """A pending change as this node knows it.

    Args:
        deadline: seconds since the epoch, by this node's clock; None until the change is seen to be applied.
    """

    pending: Pending
    deadline: float | None = None


class Shelf:
    """The files of one node.

    Args:
        directory: the agent's own; a folder in it is made when first needed.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER

    def copy_of(self, change: str) -> Path:
        """Where the copy stands that belongs to a change."""
        return self._folder / f"{change}.db"

    def keep(self, kept: Kept) -> None:
        """Write down, also for after a crash. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._folder / f"{kept.pending.change}.json", msgspec.json.encode(kept), sync=True)

    def forget(self, change: str) -> None:
        """Remove what belongs to a change."""
        (self._folder / f"{change}.json").unlink(missing_ok=True)
        for path in self._folder.glob(f"{change}.db*"):
            path.unlink(missing_ok=True)

    def all(self) -> list[Kept]:
        """Everything that was written down and can be read, the oldest first."""
        return list(self._read())

    def _read(self) -> Iterator[Kept]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Kept)
            except (msgspec.DecodeError, OSError) as error:
                _log.warning("pending_change_unreadable", path=str(path), problem=str(error))


async def copy(datastore: Datastore, prefixes: Sequence[str], pending: Pending, path: Path) -> None:
    """Write what is stored to a file, as it was before a change.

    Raises:
        Unavailable: the datastore does not answer, or the file cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink(missing_ok=True)
    into = await EmbeddedDatastore.open(path)
    try:
        for prefix in prefixes:
            async for page in datastore.pages(prefix):
                for begin in range(0, len(page.items), _COPY_TOGETHER):
                    await _put_all(into, page.items[begin : begin + _COPY_TOGETHER])
        await _go_back(into, pending)
    finally:
        await into.close()


async def _put_all(into: Datastore, items: Sequence[KeyValue]) -> None:
    await asyncio.gather(*(into.put(item.key, item.value) for item in items))


async def _go_back(into: Datastore, pending: Pending) -> None:
    """Undo in the copy what is applied already; what others made of it since stays."""
    for write in pending.writes:
        stored = await into.get(write.stored_key)
        before, after = (one.data if one else None for one in (write.before, write.after))
        if (stored.value if stored else None) != after:
            continue
        if before is not None:
            await into.put(write.stored_key, before)
        elif stored is not None:
            try:
                await into.delete(write.stored_key, stored.revision)
            except (NotFound, StaleRevision):
                continue
