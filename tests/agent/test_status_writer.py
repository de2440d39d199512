"""Writing statuses: few writes, what is found there at the start, and places that cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.agent.status_writer import RETRY_LIMIT, StatusWriter
from tortie.base.clock import SystemClock
from tortie.base.errors import Unavailable


class QuickClock(SystemClock):
    """Every wait is over at once, and noted."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


class Place:
    """A place that notes what is done to it, and fails as often as it is told to, the write done or not."""

    def __init__(self, **content: bytes) -> None:
        self.content = dict(content)
        self.done: list[str] = []
        self.failures: list[bool] = []

    async def read(self) -> Mapping[str, bytes]:
        await self._fail()
        self.done.append("read")
        return dict(self.content)

    async def put(self, name: str, value: bytes) -> None:
        self.done.append(f"put {name}")
        is_lost = await self._fail(self.failures[:1] == [True] and (name, value))
        assert not is_lost
        self.content[name] = value

    async def remove(self, name: str) -> None:
        self.done.append(f"remove {name}")
        await self._fail()
        self.content.pop(name, None)

    async def _fail(self, done: object = None) -> bool:
        await asyncio.sleep(0)
        if not self.failures:
            return False
        if self.failures.pop(0) and isinstance(done, tuple):
            self.content[done[0]] = done[1]
        raise Unavailable("nobody answers")


class Rig:
    """A writer at work."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clock = QuickClock()
        self.writer = StatusWriter("the place", place, self.clock, 1.0)
        self.task = asyncio.create_task(self.writer.run())

    async def settled(self) -> list[str]:
        """What was done to the place until nothing more was."""
        for _ in range(60):
            await asyncio.sleep(0)
        done, self.place.done = self.place.done, []
        return done

    async def end(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    one = Rig(Place(old=b"1", stale=b"2"))
    yield one
    await one.end()


async def test_nothing_is_done_before_anything_is_wanted(rig: Rig) -> None:
    assert await rig.settled() == []


async def test_what_is_right_is_not_written_again_and_what_nobody_wants_goes(rig: Rig) -> None:
    rig.writer.want("old", b"1")
    rig.writer.want("new", b"3")
    assert await rig.settled() == ["read", "put new", "remove stale"]
    assert rig.place.content == {"old": b"1", "new": b"3"}


async def test_what_nobody_wants_goes_even_when_nobody_wants_anything(rig: Rig) -> None:
    rig.writer.look()
    assert sorted(await rig.settled()) == ["read", "remove old", "remove stale"]


async def test_each_change_costs_one_write_and_those_within_the_delay_one_together(rig: Rig) -> None:
    for name in "abc":
        rig.writer.want(name, b"up")
    await rig.settled()
    rig.writer.want("b", b"down")
    rig.writer.want("b", b"error")
    rig.writer.want("c", b"down")
    rig.writer.want("c", b"up")
    assert await rig.settled() == ["put b"]
    rig.writer.forget("a")
    assert await rig.settled() == ["remove a"]
    assert rig.place.content == {"b": b"error", "c": b"up"}
    assert set(rig.clock.waits) == {1.0}


async def test_what_changes_while_it_is_written_waits_for_the_next_round(rig: Rig) -> None:
    rig.writer.look()
    await rig.settled()
    rounds = len(rig.clock.waits)
    states = iter([b"down", b"up", b"error"])
    put = rig.place.put

    async def put_and_flap(name: str, value: bytes) -> None:
        await put(name, value)
        if state := next(states, None):
            rig.writer.want(name, state)

    rig.place.put = put_and_flap  # type: ignore[method-assign]  # what happens meanwhile
    rig.writer.want("a", b"up")
    assert await rig.settled() == ["put a"] * 4
    assert len(rig.clock.waits) == rounds + 4


async def test_what_is_to_be_kept_stays_if_it_is_so_and_is_not_made(rig: Rig) -> None:
    rig.writer.keep("old", b"1")
    rig.writer.keep("stale", b"another")
    rig.writer.keep("absent", b"3")
    await rig.settled()
    assert rig.place.content == {"old": b"1"}
    rig.writer.want("absent", b"3")
    await rig.settled()
    rig.writer.keep("absent", b"3")
    await rig.settled()
    assert rig.place.content == {"old": b"1", "absent": b"3"}


async def test_what_fails_is_told_tried_again_and_looked_at_anew(rig: Rig) -> None:
    rig.writer.want("old", b"1")
    await rig.settled()
    rig.place.failures = [True] * 3
    rig.writer.want("old", b"3")
    for _ in range(8):
        await asyncio.sleep(0)
    assert rig.writer.problem == "the place cannot be written: nobody answers"
    assert (await rig.settled())[-1] == "read", "the write had been carried out"
    assert rig.writer.problem == ""
    assert rig.place.content == {"old": b"3"}
    assert max(rig.clock.waits) <= RETRY_LIMIT


async def test_what_others_did_meanwhile_is_put_right_when_asked_to_look(rig: Rig) -> None:
    rig.writer.want("old", b"1")
    await rig.settled()
    rig.place.content = {"foreign": b"4"}
    rig.writer.look()
    await rig.settled()
    assert rig.place.content == {"old": b"1"}


async def test_who_asks_to_look_while_the_place_is_being_read_is_heard(rig: Rig) -> None:
    read, asked = rig.place.read, [rig.writer.look]

    async def read_and_ask() -> Mapping[str, bytes]:
        found = await read()
        while asked:
            rig.place.content["late"] = b"3"
            asked.pop()()
        return found

    rig.place.read = read_and_ask  # type: ignore[method-assign]  # what happens meanwhile
    rig.writer.want("old", b"1")
    await rig.settled()
    assert rig.place.content == {"old": b"1"}


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([b"up", b"down", b"error", None]))
    | st.booleans()
    | st.just("look")
    | st.just("wait")
)


@given(STEPS, st.sets(st.sampled_from("abcd")))
async def test_in_the_end_the_place_holds_what_is_wanted(
    steps: list[tuple[str, bytes | None] | bool | str], before: set[str]
) -> None:
    rig, wanted = Rig(Place(**dict.fromkeys(before, b"up"))), dict[str, bytes]()
    for step in steps:
        if isinstance(step, bool):
            rig.place.failures.append(step)
        elif step == "look":
            rig.writer.look()
        elif step == "wait":
            await asyncio.sleep(0)
        elif isinstance(step, tuple):
            name, value = step
            if value is None:
                wanted.pop(name, None)
                rig.writer.forget(name)
            else:
                wanted[name] = value
                rig.writer.want(name, value)
    rig.writer.look()
    while await rig.settled():
        pass
    assert rig.place.content == wanted
    await rig.end()
