"""One watch of one prefix: survives lost connections, ends when history is gone.

Nothing is read ahead: for a watcher that is slow the flow control of the connection fills, and what
it has not taken waits at the server, which keeps it as history.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import msgspec

from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import HistoryBroken, RevisionTooOld, Unavailable
from tortie.base.logs import Logger
from tortie.datastore.contract import Batch, Event
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.channel import ServerStream
from tortie.datastore.etcd.cluster import Cluster
from tortie.datastore.etcd.messages import WatchReply
from tortie.datastore.etcd.wire import MalformedMessage

_log = Logger(__name__)


class Followed(msgspec.Struct, frozen=True):
    """What a watch follows: a prefix, after a revision of the cluster of this number; 0 is whichever answers first."""

    prefix: str
    revision: int
    cluster: int


class Watch:
    """Follows a prefix after a revision.

    Args:
        patience: seconds without any server before the watch gives up with Unavailable.
    """

    def __init__(self, cluster: Cluster, followed: Followed, clock: Clock, patience: float) -> None:
        self._cluster = cluster
        self._prefix = followed.prefix
        self._revision = followed.revision
        self._number = followed.cluster
        self._clock = clock
        self._patience = patience
        self._backoff = Backoff(first=0.05, limit=1.0)
        self._away_since: float | None = None
        self._held: list[Event] = []

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Every change after the revision, in order, until the cluster is closed.

        Raises:
            RevisionTooOld: history no longer reaches back to where the watch begins.
            HistoryBroken: it is another than the one followed, or what comes of it makes no sense.
            Unavailable: no server took the watch for too long.
        """
        while not self._cluster.is_closed:
            try:
                async with contextlib.aclosing(self._follow()) as batches:
                    async for batch in batches:
                        yield batch
            except Unavailable as problem:
                if not self._cluster.is_closed:
                    await self._wait_before_next(problem)

    async def _wait_before_next(self, problem: Unavailable) -> None:
        now = self._clock.monotonic()
        if self._away_since is None:
            self._away_since = now
            _log.info("etcd_watch_lost", prefix=self._prefix, revision=self._revision, problem=str(problem))
        if now - self._away_since >= self._patience:
            raise problem
        await self._clock.sleep(self._backoff.next())

    async def _follow(self) -> AsyncGenerator[Batch, None]:
        """Batches of one stream until it breaks."""
        stream = await self._cluster.stream(messages.WATCH)
        try:
            await self._begin(stream)
            while True:
                batch = self._batch(self._checked(await stream.read()))
                if batch is not None:
                    yield batch
        except MalformedMessage as error:
            self._cluster.fail_over(stream.server)
            raise self._broken(self._revision, f"{stream.server}: {error}") from error
        except Unavailable:
            self._cluster.fail_over(stream.server)
            raise
        finally:
            stream.cancel()

    async def _begin(self, stream: ServerStream) -> None:
        # A watch that begins at the revision already seen is refused by the server exactly when
        # something after it has been compacted; what it tells twice is left out.
        request = messages.watch_request(messages.encode_key(self._prefix), max(self._revision, 1))
        try:
            async with asyncio.timeout(self._patience / 2):
                await stream.write(request)
                created = self._checked(await stream.read())
        except TimeoutError as error:
            raise Unavailable(self._cluster.told("the watch was not answered", stream.server)) from error
        if created.revision < self._revision:
            await self._refuse_future()
        self._held = []
        self._away_since = None
        self._backoff.reset()

    async def _refuse_future(self) -> None:
        """A server may be late; the cluster is not, unless it was set back."""
        answer = await self._cluster.call(messages.RANGE, messages.range_request(b"\0"), repeatable=True)
        newest = messages.reply_revision(answer)
        if newest < self._revision:
            raise self._broken(newest, f"etcd went back to revision {newest}")

    def _checked(self, data: bytes) -> WatchReply:
        reply = messages.watch_reply(data)
        self._recognize(reply)
        if reply.compacted:
            raise RevisionTooOld(self._revision, reply.compacted)
        if reply.canceled:
            # What is refused may be the token.
            self._cluster.forget_token()
            reason = reply.reason or "permission denied"
            raise self._cluster.unavailable(f"the watch of {self._prefix} was refused: {reason}")
        return reply

    def _batch(self, reply: WatchReply) -> Batch | None:
        """The news in an answer; what belongs to a revision that may go on in the next answer is held back."""
        self._check_order(reply)
        events = self._held + [event for event in reply.events if event.revision > self._revision]
        self._held = []
        if reply.fragment and events:
            unfinished = events[-1].revision
            self._held = [event for event in events if event.revision == unfinished]
            events = events[: -len(self._held)]
        if reply.events and not events:
            return None
        # The header may be ahead of events that are still to come; without events it is a mark of progress.
        revision = events[-1].revision if events else reply.revision
        if revision <= self._revision:
            return None
        self._revision = revision
        return Batch(events, revision)

    def _recognize(self, reply: WatchReply) -> None:
        # etcd's own proxy does not say which cluster its watches are of.
        if not reply.cluster:
            return
        if not self._number:
            self._number = reply.cluster
        if reply.cluster != self._number:
            self._cluster.recognize(reply.cluster)
            raise self._broken(reply.revision, f"etcd cluster {reply.cluster:x} answers instead of {self._number:x}")

    def _check_order(self, reply: WatchReply) -> None:
        """What is older than what was told before is an error, not old news: the watch did not ask for it."""
        newest = self._held[-1].revision if self._held else self._revision
        for event in reply.events:
            if event.revision < newest or not event.key.startswith(self._prefix):
                raise self._broken(reply.revision, f"etcd told {event.key} at {event.revision} after revision {newest}")
            newest = event.revision

    def _broken(self, newest: int, problem: str) -> HistoryBroken:
        return HistoryBroken(self._revision, newest, problem)
