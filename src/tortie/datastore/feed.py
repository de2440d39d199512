"""One reader of history, and a queue for each watcher of a prefix: however many watch, a commit is read once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tortie.base.errors import RevisionTooOld, Unavailable
from tortie.datastore.contract import Batch, Event
from tortie.datastore.tables import Page

BACKLOG = 10_000
"""Events kept for a slow watcher before it is sent back to reading history by itself."""

PROGRESS = 1_000
"""Revisions after which a watcher is told of the newest one even if none of them was its own."""


class Subscription:
    """What one watcher has not yet taken."""

    def __init__(self, prefix: str, revision: int) -> None:
        self.prefix = prefix
        self._taken = revision
        self._revision = revision
        self._events: list[Event] = []
        self._error: Exception | None = None
        self._ended = False
        self._ready = asyncio.Event()

    async def next(self) -> Batch | None:
        """Everything that happened since, or None when the subscription has ended. Raises what ended the feed."""
        await self._ready.wait()
        if self._error is not None:
            raise self._error
        if self._ended:
            return None
        self._ready.clear()
        events, self._events = self._events, []
        self._taken = self._revision
        return Batch(events, self._revision)

    def offer(self, page: Page) -> bool:
        """Take a page's events of this prefix; False when the watcher has fallen too far behind."""
        # A watcher that has read history by itself may be ahead of the feed.
        self._events += [
            event for event in page.events if event.revision > self._revision and event.key.startswith(self.prefix)
        ]
        self._revision = max(self._revision, page.revision)
        if self._events or self._revision - self._taken >= PROGRESS:
            self._ready.set()
        return len(self._events) <= BACKLOG

    def end(self, error: Exception | None = None) -> None:
        """Wake the watcher for the last time; what it has not taken is dropped."""
        self._ended = True
        self._error = error
        self._events.clear()
        self._ready.set()


class Feed:
    """Reads history whenever woken, and once a second, while anyone is subscribed.

    Args:
        read: the page of history after a revision.
        interval: seconds between readings when nobody wakes the feed; None for never.
    """

    def __init__(self, read: Callable[[int], Awaitable[Page]], interval: float | None) -> None:
        self._read = read
        self._interval = interval
        self._subscriptions: set[Subscription] = set()
        self._position = 0
        self._woken = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    def subscribe(self, prefix: str, revision: int) -> Subscription | None:
        """Follow a prefix after `revision`; None when the feed is already past it: read more history first.

        None when the feed is closed, too.
        """
        if self._closed:
            return None
        if self._pump is None:
            self._position = revision
            self._pump = asyncio.get_running_loop().create_task(self._run())
        elif revision < self._position:
            return None
        subscription = Subscription(prefix, revision)
        self._subscriptions.add(subscription)
        # What was committed between the watcher's last look and now has woken nobody.
        self.wake()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop following."""
        self._subscriptions.discard(subscription)

    async def close(self) -> None:
        """End every subscription, for good."""
        self._closed = True
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        # A pump that was cancelled before it had begun has ended nobody.
        self._end_all(None)

    async def _run(self) -> None:
        problem: Exception | None = None
        try:
            while self._subscriptions:
                await self._deliver_news()
                await self._sleep()
        except (Unavailable, RevisionTooOld) as error:
            problem = error
        finally:
            self._pump = None
            self._end_all(problem)

    async def _deliver_news(self) -> None:
        self._woken.clear()
        complete = False
        while not complete:
            page = await self._read(self._position)
            complete = page.complete
            if page.revision > self._position:
                self._deliver(page)

    def _deliver(self, page: Page) -> None:
        self._position = page.revision
        for subscription in list(self._subscriptions):
            if not subscription.offer(page):
                self.unsubscribe(subscription)
                subscription.end()

    async def _sleep(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await self._woken.wait()

    def _end_all(self, error: Exception | None) -> None:
        subscriptions, self._subscriptions = self._subscriptions, set()
        for subscription in subscriptions:
            subscription.end(error)
