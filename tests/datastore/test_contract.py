"""What every driver promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import settings

from tortie.base.errors import AlreadyExists, HistoryBroken, NotFound, RevisionTooOld, StaleRevision, Unavailable
from tortie.datastore.contract import Batch, Datastore, Event, Write
from tortie.datastore.feed import BACKLOG
from tortie.datastore.limits import MAX_REQUEST_BYTES, TooLarge, request_size

DEADLINE = 30.0


async def take(watch: AsyncIterator[Batch], count: int) -> list[Event]:
    """The next events of a watch, at least `count` of them."""
    events: list[Event] = []
    async with asyncio.timeout(DEADLINE):
        while len(events) < count:
            events += (await anext(watch)).events
    return events


async def test_a_missing_key_reads_as_none(datastore: Datastore) -> None:
    assert await datastore.get("/a") is None


async def test_every_write_gets_a_higher_revision_beginning_with_one(datastore: Datastore) -> None:
    first = await datastore.create("/a", b"1")
    second = await datastore.update("/a", b"2", first)
    third = await datastore.put("/b", b"3")
    fourth = await datastore.delete("/a")
    assert [first, second, third, fourth] == [1, 2, 3, 4]


async def test_a_key_keeps_its_creation_revision_until_it_is_deleted(datastore: Datastore) -> None:
    await datastore.create("/a", b"1")
    await datastore.put("/a", b"2")
    stored = await datastore.get("/a")
    assert stored is not None
    assert (stored.value, stored.created, stored.revision) == (b"2", 1, 2)
    await datastore.delete("/a")
    await datastore.create("/a", b"3")
    stored = await datastore.get("/a")
    assert stored is not None
    assert (stored.created, stored.revision) == (4, 4)


async def test_create_refuses_a_taken_key(datastore: Datastore) -> None:
    await datastore.create("/a", b"1")
    with pytest.raises(AlreadyExists):
        await datastore.create("/a", b"2")


async def test_update_refuses_a_stale_revision_and_names_both(datastore: Datastore) -> None:
    await datastore.create("/a", b"1")
    await datastore.put("/a", b"2")
    with pytest.raises(StaleRevision) as caught:
        await datastore.update("/a", b"3", 1)
    assert (caught.value.expected, caught.value.actual) == (1, 2)


async def test_update_of_a_missing_key_is_not_found(datastore: Datastore) -> None:
    with pytest.raises(NotFound):
        await datastore.update("/a", b"1", 1)


async def test_delete_can_be_conditional(datastore: Datastore) -> None:
    with pytest.raises(NotFound):
        await datastore.delete("/a")
    await datastore.create("/a", b"1")
    with pytest.raises(StaleRevision):
        await datastore.delete("/a", 7)
    await datastore.delete("/a", 1)
    assert await datastore.get("/a") is None


async def test_a_refused_write_uses_up_no_revision(datastore: Datastore) -> None:
    await datastore.create("/a", b"1")
    with pytest.raises(AlreadyExists):
        await datastore.create("/a", b"2")
    assert await datastore.put("/b", b"") == 2


async def test_a_list_is_sorted_and_holds_the_prefix_alone(datastore: Datastore) -> None:
    for key in ("/p/b", "/p/a", "/p", "/q/a", "/p/é", "/p/a/x", "/o/z"):
        await datastore.put(key, key.encode())
    listing = await datastore.list("/p/")
    assert [item.key for item in listing.items] == ["/p/a", "/p/a/x", "/p/b", "/p/é"]
    assert listing.revision == 7
    assert len((await datastore.list("")).items) == 7


async def test_pages_hold_what_a_list_holds_and_there_is_one_of_nothing(datastore: Datastore) -> None:
    for number in range(5):
        await datastore.put(f"/p/{number}", b"%d" % number)
    pages = [page async for page in datastore.pages("/p/")]
    assert [item for page in pages for item in page.items] == (await datastore.list("/p/")).items
    assert {page.revision for page in pages} == {5}
    assert [(list(page.items), page.revision) async for page in datastore.pages("/q/")] == [([], 5)]


async def test_every_writer_is_told_what_is_too_large_and_how_large_it_may_be(datastore: Datastore) -> None:
    key = "/calico/resources/v3/projectcalico.org/globalnetworksets/big"
    most = bytes(MAX_REQUEST_BYTES - request_size(key, b""))
    await datastore.create(key, most)
    await datastore.update(key, most, 1)
    await datastore.put(key, most)
    more = most + b"x"
    for write in (datastore.create(key, more), datastore.update(key, more, 3), datastore.put(key, more)):
        with pytest.raises(TooLarge, match=r"^GlobalNetworkSet big: takes 1,572,865 bytes, and .* takes 1,572,864"):
            await write
    stored = await datastore.get(key)
    assert stored is not None
    assert (len(stored.value), stored.revision) == (len(most), 3)


async def test_a_compaction_under_a_watcher_that_lags_leaves_no_gap(datastore: Datastore) -> None:
    async with aclosing(datastore.watch("/p/", 0)) as watch:
        await datastore.put("/p/0", b"")
        assert len(await take(watch, 1)) == 1
        for number in range(2, 502):
            await datastore.put(f"/p/{number % 3}", b"")
        await datastore.compact(400)
        try:
            events = await take(watch, 500)
        except RevisionTooOld as error:
            assert error.requested == 1
            return
    assert [event.revision for event in events] == list(range(2, 502))


async def test_each_of_many_watches_sees_its_own_prefix_alone(datastore: Datastore) -> None:
    """Prefixes that lie within each other too, as an agent and its commands may watch them."""
    prefixes = ["/", *(f"/{number:02}/" for number in range(40)), *(f"/{number:02}/x" for number in range(40))]
    keys = [key for number in range(40) for key in (f"/{number:02}/x", f"/{number:02}/y")]

    async def follow(prefix: str) -> list[str]:
        wanted = [key for key in keys if key.startswith(prefix)]
        async with aclosing(datastore.watch(prefix, 0)) as watch:
            return [event.key for event in await take(watch, len(wanted))]

    following = [asyncio.create_task(follow(prefix)) for prefix in prefixes]
    for key in keys:
        await datastore.put(key, b"")
    for prefix, seen in zip(prefixes, await asyncio.gather(*following), strict=True):
        assert seen == [key for key in keys if key.startswith(prefix)]


async def test_steps_of_the_wall_clock_disturb_nobody(datastore: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a year ahead nor a year back makes anybody give up, expire, or wait."""
    real, year = time.time, 366 * 86400.0
    async with aclosing(datastore.watch("/p/", 0)) as watch, asyncio.timeout(DEADLINE):
        for number, step in enumerate((0.0, year, -year, 0.0, 2 * year), 1):
            monkeypatch.setattr(time, "time", lambda step=step: real() + step)
            assert await datastore.put("/p/a", b"") == number
            assert [event.revision for event in await take(watch, 1)] == [number]
            assert (await datastore.list("/p/")).revision == number


async def test_a_watch_tells_each_change_with_what_was_there_before(datastore: Datastore) -> None:
    created = await datastore.create("/p/a", b"1")
    watch = datastore.watch("/p/", created)
    await datastore.update("/p/a", b"2", created)
    await datastore.put("/other", b"x")
    await datastore.delete("/p/a")
    async with aclosing(watch):
        assert await take(watch, 2) == [
            Event("/p/a", b"2", 2, 1, b"1"),
            Event("/p/a", None, 4, 1, b"2"),
        ]


async def test_a_watch_resumes_at_any_revision_without_gaps_or_duplicates(datastore: Datastore) -> None:
    for number in range(20):
        await datastore.put(f"/p/{number % 3}", str(number).encode())
    for start in (0, 1, 7, 19):
        watch = datastore.watch("/p/", start)
        async with aclosing(watch):
            events = await take(watch, 20 - start)
        assert [event.revision for event in events] == list(range(start + 1, 21))


async def test_batches_tell_how_far_they_reach(datastore: Datastore) -> None:
    await datastore.put("/p/a", b"1")
    await datastore.put("/q/a", b"1")
    watch = datastore.watch("/p/", 0)
    async with aclosing(watch):
        batch = await anext(watch)
    assert batch.revision >= batch.events[-1].revision


async def test_watchers_that_begin_while_writing_goes_on_miss_nothing(datastore: Datastore) -> None:
    total = 300

    async def write() -> None:
        for number in range(total):
            await datastore.put(f"/p/{number % 7}", str(number).encode())

    async def follow(delay: int) -> list[int]:
        for _ in range(delay):
            await asyncio.sleep(0)
        start = (await datastore.list("/p/")).revision
        watch = datastore.watch("/p/", start)
        async with aclosing(watch):
            events = await take(watch, total - start) if start < total else []
        return [start, *(event.revision for event in events)]

    results = await asyncio.gather(write(), *(follow(delay * 17) for delay in range(10)))
    for seen in results[1:]:
        assert seen == list(range(seen[0], total + 1))


async def test_a_slow_watcher_still_sees_every_change(datastore: Datastore, share: float) -> None:
    watch = datastore.watch("/p/", 0)
    await datastore.put("/p/first", b"")
    async with aclosing(watch):
        assert len(await take(watch, 1)) == 1
        total = round((BACKLOG + 500) * share / 500) * 500
        for begin in range(0, total, 500):
            await asyncio.gather(*(datastore.put(f"/p/{begin + offset}", b"") for offset in range(500)))
        events = await take(watch, total)
    assert [event.revision for event in events] == list(range(2, total + 2))


async def test_compaction_keeps_values_and_recent_history(datastore: Datastore) -> None:
    for number in range(10):
        await datastore.put("/p/a", str(number).encode())
    await datastore.compact(5)
    stored = await datastore.get("/p/a")
    assert stored is not None
    assert stored.value == b"9"
    watch = datastore.watch("/p/", 5)
    async with aclosing(watch):
        assert [event.revision for event in await take(watch, 5)] == [6, 7, 8, 9, 10]


async def test_a_watch_from_before_a_compaction_is_too_old(datastore: Datastore) -> None:
    for number in range(10):
        await datastore.put("/p/a", str(number).encode())
    await datastore.compact(5)
    with pytest.raises(RevisionTooOld):
        await anext(datastore.watch("/p/", 4))


async def test_a_watch_from_the_future_must_list_again(datastore: Datastore) -> None:
    await datastore.put("/p/a", b"")
    with pytest.raises(HistoryBroken):
        await anext(datastore.watch("/p/", 2))


async def test_compaction_does_not_disturb_a_watcher_that_keeps_up(datastore: Datastore) -> None:
    watch = datastore.watch("/p/", 0)
    async with aclosing(watch):
        for number in range(1, 6):
            await datastore.put("/p/a", b"")
            assert [event.revision for event in await take(watch, 1)] == [number]
            await datastore.compact(number)


async def test_closing_ends_watches_and_refuses_calls(datastore: Datastore) -> None:
    async def follow() -> int:
        return sum([len(batch.events) async for batch in datastore.watch("/p/", 0)])

    await datastore.put("/p/a", b"")
    watcher = asyncio.create_task(follow())
    await asyncio.sleep(0.01)
    await datastore.close()
    async with asyncio.timeout(DEADLINE):
        assert await watcher <= 1
    with pytest.raises(Unavailable):
        await datastore.get("/p/a")
    with pytest.raises(Unavailable):
        await datastore.put("/p/a", b"")


async def test_a_cancelled_watch_leaves_the_others_running(datastore: Datastore) -> None:
    survivor = datastore.watch("/p/", 0)
    victim = asyncio.create_task(anext(datastore.watch("/p/", 0)))  # type: ignore[arg-type] # an async generator's is a coroutine
    await asyncio.sleep(0.01)
    victim.cancel()
    await datastore.put("/p/a", b"")
    async with aclosing(survivor):
        assert len(await take(survivor, 1)) == 1


async def test_crowds_of_tasks_increment_one_counter_by_compare_and_swap(datastore: Datastore, share: float) -> None:
    tasks, rounds = round(min(200, 10 * settings.default.max_examples) * share), 2
    await datastore.create("/counter", b"0")

    async def increment() -> None:
        while True:
            stored = await datastore.get("/counter")
            assert stored is not None
            try:
                await datastore.update("/counter", str(int(stored.value) + 1).encode(), stored.revision)
            except StaleRevision:
                continue
            return

    async def work() -> None:
        for _ in range(rounds):
            await increment()

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(work() for _ in range(tasks)))
    stored = await datastore.get("/counter")
    assert stored is not None
    assert stored.value == str(tasks * rounds).encode()
    assert stored.revision == tasks * rounds + 1


async def test_a_key_vanishes_at_the_end_of_its_lifetime_and_watchers_are_told(datastore: Datastore) -> None:
    async with aclosing(datastore.watch("/p/", 0)) as watch:
        await datastore.put("/p/a", b"1", lifetime=1)
        assert await take(watch, 2) == [Event("/p/a", b"1", 1, 1), Event("/p/a", None, 2, 1, b"1")]
    assert await datastore.get("/p/a") is None
    assert await datastore.create("/p/a", b"2") == 3


async def test_the_lifetime_of_a_key_is_that_of_its_last_write(datastore: Datastore) -> None:
    await datastore.put("/p/longer", b"", lifetime=1)
    await datastore.put("/p/longer", b"", lifetime=600)
    await datastore.put("/p/put", b"", lifetime=1)
    await datastore.put("/p/put", b"")
    written = await datastore.put("/p/updated", b"", lifetime=1)
    await datastore.update("/p/updated", b"", written)
    written = await datastore.put("/p/made anew", b"", lifetime=1)
    await datastore.delete("/p/made anew", written)
    begun = await datastore.create("/p/made anew", b"")
    async with aclosing(datastore.watch("/p/", begun)) as watch:
        await datastore.put("/p/short", b"", lifetime=2)
        assert [event.key for event in await take(watch, 2)] == ["/p/short"] * 2
    assert [item.key for item in (await datastore.list("/p/")).items] == [
        "/p/longer",
        "/p/made anew",
        "/p/put",
        "/p/updated",
    ]


async def test_a_rehearsal_names_what_is_too_large_and_writes_nothing(datastore: Datastore) -> None:
    before = (await datastore.list("")).revision
    writes = {f"/p/{number}": b"x" for number in range(205)} | {"/p/large": b"x" * (MAX_REQUEST_BYTES + 1)}
    refused = await datastore.rehearse(writes)
    assert list(refused) == ["/p/large"]
    assert isinstance(refused["/p/large"], TooLarge)
    listing = await datastore.list("")
    assert (listing.items, listing.revision) == ([], before)


async def test_writes_together_are_all_carried_out(datastore: Datastore) -> None:
    first = await datastore.create("/a", b"1")
    second = await datastore.create("/b", b"1")
    revisions = await datastore.write_together(
        [Write("/a", b"2", first), Write("/b", None, second), Write("/c", b"3", 0), Write("/d", b"4")]
    )
    stored = {item.key: item for item in (await datastore.list("/")).items}
    assert {key: item.value for key, item in stored.items()} == {"/a": b"2", "/c": b"3", "/d": b"4"}
    assert [stored["/a"].revision, stored["/c"].revision] == [revisions[0], revisions[2]]


async def test_writes_together_are_refused_whole_for_the_first_that_is_not_as_expected(datastore: Datastore) -> None:
    revision = await datastore.create("/a", b"1")
    for write, error in (
        (Write("/a", b"2", 0), AlreadyExists),
        (Write("/a", b"2", revision + 7), StaleRevision),
        (Write("/a", None, revision + 7), StaleRevision),
        (Write("/b", b"2", revision), NotFound),
    ):
        with pytest.raises(error):
            await datastore.write_together([Write("/new", b"x", 0), write])
    assert [(item.key, item.value) for item in (await datastore.list("/")).items] == [("/a", b"1")]


async def test_writes_together_are_heard_in_one_piece_or_in_order(datastore: Datastore) -> None:
    async with aclosing(datastore.watch("/", 0)) as watch:
        await datastore.write_together([Write("/a", b"1", 0), Write("/b", b"2", 0)])
        assert [(event.key, event.value) for event in await take(watch, 2)] == [("/a", b"1"), ("/b", b"2")]


async def test_writes_that_are_too_large_together_are_refused(datastore: Datastore) -> None:
    half = b"x" * (MAX_REQUEST_BYTES // 2)
    with pytest.raises(TooLarge):
        await datastore.write_together([Write("/a", half, 0), Write("/b", half, 0)])
    assert not (await datastore.list("/")).items


async def test_keys_and_prefixes_are_read_together_without_what_is_absent(datastore: Datastore) -> None:
    for key in ("/a", "/p/1", "/p/2", "/q"):
        await datastore.create(key, key.encode())
    found = await datastore.read(["/a", "/absent"], ["/p/", "/nothing/"])
    assert {key: (item.value, item.revision, item.created) for key, item in found.items()} == {
        "/a": (b"/a", 1, 1),
        "/p/1": (b"/p/1", 2, 2),
        "/p/2": (b"/p/2", 3, 3),
    }
