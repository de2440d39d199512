"""The feed keeps little for those who are slow, and hands on what ends it."""

from __future__ import annotations

import asyncio

import pytest

from tortie.base.errors import RevisionTooOld, Unavailable
from tortie.datastore.contract import Batch, Event
from tortie.datastore.feed import BACKLOG, Feed, Subscription
from tortie.datastore.tables import Page


def page(first: int, last: int, complete: bool = True) -> Page:
    return Page([Event("/p/a", b"", number, 1) for number in range(first, last + 1)], last, complete)


def test_a_subscription_refuses_to_grow_without_bound() -> None:
    subscription = Subscription("/p/", 0)
    assert subscription.offer(page(1, BACKLOG))
    assert not subscription.offer(page(BACKLOG + 1, BACKLOG + 1))


async def test_a_watcher_that_is_ahead_gets_nothing_twice() -> None:
    subscription = Subscription("/p/", 5)
    subscription.offer(page(3, 7))
    batch = await subscription.next()
    assert batch == Batch([Event("/p/a", b"", number, 1) for number in (6, 7)], 7)


async def test_the_feed_lets_go_of_a_watcher_that_does_not_keep_up() -> None:
    pages = [page(1, BACKLOG + 1), page(BACKLOG + 2, BACKLOG + 2)]

    async def read(after: int) -> Page:
        return pages.pop(0) if pages else Page([], after, complete=True)

    feed = Feed(read, None)
    slow = feed.subscribe("/p/", 0)
    assert slow is not None
    assert await slow.next() is None
    await feed.close()


@pytest.mark.parametrize("problem", [Unavailable("away"), RevisionTooOld(1, 2)])
async def test_what_ends_the_feed_reaches_every_watcher_and_the_next_one_starts_it_again(problem: Exception) -> None:
    answers: list[Page | Exception] = [problem, page(1, 1)]

    async def read(after: int) -> Page:
        answer = answers.pop(0) if answers else Page([], after, complete=True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    feed = Feed(read, None)
    watchers = [feed.subscribe("/p/", 0), feed.subscribe("/q/", 0)]
    for watcher in watchers:
        assert watcher is not None
        with pytest.raises(type(problem)):
            await watcher.next()
    again = feed.subscribe("/p/", 0)
    assert again is not None
    async with asyncio.timeout(30):
        batch = await again.next()
    assert batch is not None
    assert batch.revision == 1
    await feed.close()


async def test_a_closed_feed_takes_nobody_new() -> None:
    async def read(after: int) -> Page:
        return Page([], after, complete=True)

    feed = Feed(read, None)
    await feed.close()
    assert feed.subscribe("/p/", 0) is None


async def test_a_feed_that_is_closed_before_it_has_begun_to_read_ends_its_watchers_too() -> None:
    async def read(after: int) -> Page:
        return Page([], after, complete=True)

    feed = Feed(read, None)
    watcher = feed.subscribe("/p/", 0)
    assert watcher is not None
    await feed.close()
    assert await asyncio.wait_for(watcher.next(), 10) is None
