"""One process leads; another takes over when it is heard no more, whatever clocks say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tortie.base.errors import OutcomeUnknown, Unavailable
from tortie.controllers.leader import LEADER_KEY, RENEW, SAFE, TERM, Leadership
from tortie.datastore.embedded import EmbeddedDatastore


class SetClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Away:
    """A connection on which nothing arrives."""

    async def update(self, key: str, value: bytes, revision: int) -> int:
        raise OutcomeUnknown("no answer")

    async def get(self, key: str) -> None:
        raise Unavailable("no answer")


@pytest.fixture
async def datastore() -> AsyncIterator[EmbeddedDatastore]:
    store = EmbeddedDatastore.open_memory()
    yield store
    await store.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


async def test_one_leads_as_long_as_it_renews(datastore: EmbeddedDatastore, clock: SetClock) -> None:
    one, two = (Leadership(datastore, clock, name) for name in ("one", "two"))
    for _ in range(20):
        await one.attempt()
        await two.attempt()
        assert (one.is_held, two.is_held, two.holder) == (True, False, "one")
        clock.time += RENEW


async def test_who_is_silent_for_a_term_is_followed_and_has_stopped_before(
    datastore: EmbeddedDatastore, clock: SetClock
) -> None:
    one, two = (Leadership(datastore, clock, name) for name in ("one", "two"))
    await one.attempt()
    await two.attempt()
    clock.time += SAFE
    assert not one.is_held
    await two.attempt()
    assert not two.is_held
    clock.time += TERM - SAFE
    await two.attempt()
    assert two.is_held
    await one.attempt()
    assert not one.is_held
    await one.attempt()
    assert one.holder == "two"


async def test_who_begins_late_gives_the_present_leader_a_whole_term(
    datastore: EmbeddedDatastore, clock: SetClock
) -> None:
    await Leadership(datastore, clock, "one").attempt()
    clock.time += 10 * TERM
    two = Leadership(datastore, clock, "two")
    await two.attempt()
    clock.time += TERM - 1
    await two.attempt()
    assert not two.is_held
    clock.time += 1
    await two.attempt()
    assert two.is_held


async def test_a_renewal_of_which_nobody_knows_whether_it_arrived_ends_leadership(
    datastore: EmbeddedDatastore, clock: SetClock
) -> None:
    one = Leadership(datastore, clock, "one")
    await one.attempt()
    one._datastore = Away()  # type: ignore[assignment]
    await one.attempt()
    assert not one.is_held
    with pytest.raises(Unavailable):
        await one.attempt()


async def test_who_resigns_is_followed_at_once(datastore: EmbeddedDatastore, clock: SetClock) -> None:
    one, two = (Leadership(datastore, clock, name) for name in ("one", "two"))
    await one.attempt()
    await one.resign()
    await two.attempt()
    assert (one.is_held, two.is_held) == (False, True)


async def test_a_key_that_cannot_be_read_is_taken_over_after_a_term(
    datastore: EmbeddedDatastore, clock: SetClock
) -> None:
    await datastore.put(LEADER_KEY, b"\xff")
    one = Leadership(datastore, clock, "one")
    await one.attempt()
    clock.time += TERM
    await one.attempt()
    assert one.is_held
