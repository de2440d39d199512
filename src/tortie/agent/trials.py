"""Changes that hold only if they are confirmed, on this node: what is withheld from the calculation, and from when on.

The calculation is never told how to go back. It is told that a resource is what it was before, in the place of what is
stored, from the moment a change's time is over until the datastore says how it ended. Nodes on which a change is not
tried are told so from the beginning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog

from tortie.agent.kept import Kept, Shelf
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import Conflict, NotPermitted, Unavailable
from tortie.datastore.changelog import Origin
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.outage import Outage
from tortie.datastore.pending import (
    APPLIED,
    PENDING_ROOT,
    PREPARED,
    REVERTED,
    Pending,
    PendingWrite,
    read_pending,
    say_heard,
    standing,
    take_back,
)
from tortie.datastore.source import PrefixSource, StoredChange

_LOOK_SECONDS = 1.0
"""Between two attempts at what the datastore did not let us do."""


class Teller(Protocol):
    """Tells the calculation once more what is stored under a key, unless newer news of it waits."""

    def __call__(self, change: StoredChange) -> None:
        """This is stored."""


class Trial:
    """One change on this node.

    Attributes:
        deadline: seconds since the epoch, None until the change is seen.
        is_withheld: whether the calculation is told what was before.
        seen: keys that hold what the change made of them, and the revision.
        is_handed_on: whether whoever programs the kernel has all that was seen.
        said: what was told to the datastore.
    """

    def __init__(self, kept: Kept, *, is_withheld: bool) -> None:
        self.pending = kept.pending
        self.deadline = kept.deadline
        self.is_withheld = is_withheld
        self.is_over = False
        self.seen: dict[str, int] = {}
        self.is_handed_on = False
        self.said = ""
        self.writes: dict[str, PendingWrite] = {write.stored_key: write for write in kept.pending.writes}

    @property
    def is_applied(self) -> bool:
        """Whether all that it changes was seen changed, and went on from there."""
        return self.is_handed_on and len(self.seen) == len(self.writes)


class Trials:
    """All undecided changes, on one node.

    Args:
        is_chosen: whether changes for nodes that a selector selects are tried here. May raise Unavailable.
        prepare: keeps what is needed to go back without the datastore. May raise Unavailable, OSError.
        anew: opens a connection of its own to the datastore: what stands already may live on where nothing new would.
        tell: tells the calculation again.
    """

    def __init__(
        self,
        node: str,
        datastore: Datastore,
        shelf: Shelf,
        clock: Clock,
        *,
        is_chosen: Callable[[str], Awaitable[bool]],
        prepare: Callable[[Pending], Awaitable[None]],
        anew: Callable[[], Awaitable[Datastore]],
        tell: Teller,
    ) -> None:
        self._node = node
        self._datastore = datastore
        self._shelf = shelf
        self._clock = clock
        self._is_chosen = is_chosen
        self._prepare = prepare
        self._anew = anew
        self._tell = tell
        self._trials: dict[str, Trial] = {}
        self._news: asyncio.Queue[StoredChange | None] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._log = structlog.get_logger("tortie.trials", node=node)

    @property
    def problems(self) -> list[str]:
        """What people should know."""
        return [
            f"change {name} of {trial.pending.who} was not confirmed in time: this node goes by what was before"
            for name, trial in self._trials.items()
            if trial.is_over
        ]

    async def load(self) -> None:
        """Know all undecided changes before the first resource is read. Raises Unavailable."""
        pending = {one.pending.change: one.pending for one in await read_pending(self._datastore)}
        for kept in self._shelf.all():
            if kept.pending.change not in pending:
                self._shelf.forget(kept.pending.change)
        deadlines = {kept.pending.change: kept.deadline for kept in self._shelf.all()}
        for change, one in pending.items():
            await self._adopt(Kept(one, deadlines.get(change)))

    def stand_in(self, change: StoredChange) -> StoredChange:
        """What the calculation is to be told in the place of what is stored."""
        for trial in self._trials.values():
            write = trial.writes.get(change.key)
            if write is None:
                continue
            if change.value != (write.after.data if write.after else None):
                trial.seen.pop(change.key, None)
                continue
            trial.seen[change.key] = change.revision
            self._begin(trial)
            if trial.is_withheld:
                return StoredChange(change.key, write.before.data if write.before else None, change.revision)
        return change

    def handed_on(self) -> None:
        """What was told before is in the kernel, or on its way."""
        for trial in self._trials.values():
            trial.is_handed_on = len(trial.seen) == len(trial.writes)
        self._moved.set()

    async def run(self, programmed: Callable[[], Awaitable[None]]) -> None:
        """Work until cancelled.

        Args:
            programmed: returns when the kernel is as the calculation says.
        """
        source = PrefixSource(self._datastore, PENDING_ROOT, self._clock, Backoff(), self, Outage(self._clock))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(source.run())
            tasks.create_task(self._follow())
            tasks.create_task(self._watch_time())
            tasks.create_task(self._bring_back_all())
            tasks.create_task(self._report(programmed))

    def take(self, change: StoredChange) -> None:
        """News of a pending change."""
        self._news.put_nowait(change)

    def settled(self) -> None:
        """All of them have been told: what was known before and was not told is decided."""
        self._news.put_nowait(None)

    async def room(self) -> None:
        """There always is."""

    async def _follow(self) -> None:
        while True:
            change = await self._news.get()
            if change is None:
                await self._retried(self._end_decided)
                continue
            name = change.key.removeprefix(PENDING_ROOT)
            if change.value is None:
                await self._retried(partial(self._end, name))
                continue
            found = standing(KeyValue(change.key, change.value, change.revision, 0))
            if found is not None:
                await self._retried(partial(self._adopt, Kept(found.pending)))

    async def _end_decided(self) -> None:
        """Raises Unavailable."""
        pending = {one.pending.change for one in await read_pending(self._datastore)}
        for change in set(self._trials) - pending:
            await self._end(change)

    async def _adopt(self, kept: Kept) -> None:
        """Know a change, and be ready to go back, before saying so. Raises Unavailable."""
        change = kept.pending.change
        known = self._trials.get(change)
        if known is not None:
            known.pending = kept.pending
            return
        chosen = not kept.pending.nodes or await self._is_chosen(kept.pending.nodes)
        try:
            await self._prepare(kept.pending)
            self._shelf.keep(kept)
        except OSError as error:
            self._log.error("pending_change_not_kept", change=change, problem=str(error))
            return
        self._trials[change] = Trial(kept, is_withheld=not chosen)
        self._log.info("change_pending", change=change, seconds=kept.pending.seconds, tried_here=chosen)
        self._moved.set()

    def _begin(self, trial: Trial) -> None:
        """The time of a change begins on this node when it sees the first of it."""
        if trial.deadline is not None:
            return
        trial.deadline = self._clock.now() + trial.pending.seconds
        try:
            self._shelf.keep(Kept(trial.pending, trial.deadline))
        except OSError as error:
            self._log.error("pending_change_not_kept", change=trial.pending.change, problem=str(error))
        self._moved.set()

    async def _watch_time(self) -> None:
        """Withhold what is not confirmed in time."""
        while True:
            await self._clock.sleep(min(_LOOK_SECONDS, self._least()))
            for change, trial in list(self._trials.items()):
                if trial.deadline is not None and not trial.is_over and self._left(trial) <= 0:
                    self._withhold(change, trial)

    async def _bring_back_all(self) -> None:
        """Bring the datastore back, if nobody else does."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            for change in [change for change, trial in self._trials.items() if trial.is_over]:
                await self._bring_back(change)

    def _least(self) -> float:
        waiting = [self._left(one) for one in self._trials.values() if one.deadline is not None and not one.is_over]
        return max(0.0, min(waiting, default=_LOOK_SECONDS))

    def _left(self, trial: Trial) -> float:
        """Seconds; never more than the change was given, should the clock have been set back."""
        return min((trial.deadline or 0) - self._clock.now(), trial.pending.seconds)

    def _withhold(self, change: str, trial: Trial) -> None:
        self._log.warning("change_not_confirmed", change=change, who=trial.pending.who)
        trial.is_over = trial.is_withheld = True
        for key, revision in trial.seen.items():
            after = trial.writes[key].after
            self._tell(StoredChange(key, after.data if after else None, revision))
        self._moved.set()

    async def _bring_back(self, change: str) -> None:
        origin = Origin(f"agent@{self._node}", "tortie-agent", f"{change} was not confirmed in time", f"{change}-back")
        try:
            await take_back(self._datastore, self._clock, change, origin)
        except NotPermitted as error:
            self._log.info("datastore_not_brought_back", change=change, problem=str(error))
        except (Conflict, Unavailable) as error:
            self._log.warning("datastore_not_brought_back", change=change, problem=str(error))

    async def _end(self, change: str) -> None:
        """The datastore has decided: go by what it says from now on. Raises Unavailable."""
        trial = self._trials.get(change)
        if trial is not None:
            stored = [await self._datastore.get(key) for key in trial.writes] if trial.is_withheld else []
            self._trials.pop(change)
            for one in stored:
                # What was taken back is told by itself, and is what was told already.
                if one is not None and trial.seen.get(one.key) == one.revision:
                    self._tell(StoredChange(one.key, one.value, one.revision))
        self._shelf.forget(change)
        self._log.info("change_decided", change=change)

    async def _report(self, programmed: Callable[[], Awaitable[None]]) -> None:
        """Say what is true of each change, by a connection that is made for it."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            for change, trial in list(self._trials.items()):
                state = _state(trial)
                if state == trial.said:
                    continue
                if state != PREPARED:
                    await programmed()
                if await self._say(change, state):
                    trial.said = state
                else:
                    self._moved.set()
                    await self._clock.sleep(_LOOK_SECONDS)

    async def _say(self, change: str, state: str) -> bool:
        try:
            datastore = await self._anew()
            try:
                await say_heard(datastore, change, self._node, state)
            finally:
                await datastore.close()
        except Unavailable as error:
            self._log.info("change_not_reported", change=change, state=state, problem=str(error))
            return False
        return True

    async def _retried(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                return
            except Unavailable as error:
                self._log.info("pending_change_delayed", problem=str(error))
                await self._clock.sleep(_LOOK_SECONDS)


def _state(trial: Trial) -> str:
    if trial.is_over:
        return REVERTED
    return APPLIED if trial.is_applied else PREPARED
