"""Going back without the datastore: an agent that starts, reaches nobody, and finds that a change was not confirmed.

The kernel is still as the change made it. The agent works on the copy that it kept until the datastore answers again,
and then starts anew.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tortie.agent.kept import Kept, Shelf, copy
from tortie.agent.settings import Settings
from tortie.agent.trials import Trials
from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.clock import Clock
from tortie.base.errors import InvalidResource, NotPermitted, Unavailable
from tortie.datastore.keys import stream_prefixes
from tortie.datastore.open import open_datastore
from tortie.datastore.pending import PENDING_ROOT, Pending
from tortie.datastore.reading import ResourceReader
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tortie.datastore.contract import Datastore
    from tortie.datastore.source import StoredChange
    from tortie.datastore.stream import ResourceStream

_LOOK_SECONDS = 1.0


class DatastoreBack(Exception):
    """The datastore answers again: start anew with it."""


async def copy_to_go_by(shelf: Shelf, datastore: Datastore, clock: Clock) -> Path | None:
    """What was kept of before a change whose time is over, if the datastore does not answer; waits until that is known.

    None: the datastore answers, or no change was seen that is not confirmed.
    """
    log = structlog.get_logger("tortie.trials")
    while kept := [
        one for one in shelf.all() if one.deadline is not None and shelf.copy_of(one.pending.change).exists()
    ]:
        try:
            await datastore.get(PENDING_ROOT)
            return None
        except NotPermitted:
            return None
        except Unavailable as error:
            left = _left(kept[-1], clock.now())
            log.warning("datastore_away_with_change_pending", seconds_left=round(left, 1), problem=str(error))
        if left <= 0:
            return shelf.copy_of(kept[-1].pending.change)
        await clock.sleep(min(_LOOK_SECONDS, left))
    return None


async def until_back(datastore: Datastore, clock: Clock) -> None:
    """Raises DatastoreBack when the datastore answers."""
    while True:
        try:
            await datastore.get(PENDING_ROOT)
        except NotPermitted:
            pass
        except Unavailable:
            await clock.sleep(_LOOK_SECONDS)
            continue
        raise DatastoreBack


def make_trials(settings: Settings, datastore: Datastore, clock: Clock, kinds: Sequence[str]) -> TrialsOfStream:
    """What looks after changes on this node that are not confirmed."""
    shelf = Shelf(settings.run_directory)
    late = TrialsOfStream()

    async def prepare(pending: Pending) -> None:
        path = shelf.copy_of(pending.change)
        known = any(one.pending.change == pending.change for one in shelf.all())
        # A file on this machine cannot be cut off.
        if not isinstance(settings.datastore, Path) and not (known and path.exists()):
            await copy(datastore, [prefix for kind in kinds for prefix in stream_prefixes(kind)], pending, path)

    late.trials = Trials(
        settings.node,
        datastore,
        shelf,
        clock,
        is_chosen=partial(_is_chosen, datastore, settings.node),
        prepare=prepare,
        anew=partial(open_datastore, settings.datastore),
        tell=late.tell,
    )
    return late


class TrialsOfStream:
    """Trials and the stream that they change, which need each other."""

    trials: Trials
    stream: ResourceStream

    def stand_in(self, change: StoredChange) -> StoredChange:
        """For the stream."""
        return self.trials.stand_in(change)

    def tell(self, change: StoredChange) -> None:
        """For the trials."""
        self.stream.repeat(change)


async def _is_chosen(datastore: Datastore, node: str, selector: str) -> bool:
    """Whether a selector selects this node. Raises Unavailable."""
    try:
        found = await ResourceReader(datastore).get(ResourceKey(Node.kind, "", node))
        return isinstance(found, Node) and parse(selector).matches(found.metadata.labels)
    except (InvalidResource, InvalidSelector):
        return False


def _left(kept: Kept, now: float) -> float:
    return min((kept.deadline or 0.0) - now, kept.pending.seconds)
