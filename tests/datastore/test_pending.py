"""Changes on trial, by every driver: applied whole, confirmed or taken back once, whoever is first."""

from __future__ import annotations

import asyncio

import pytest

from tortie.api import codec
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.resource import Metadata
from tortie.base.clock import SystemClock
from tortie.base.errors import AlreadyExists, Conflict, NotFound, StaleRevision
from tortie.datastore import pending as trials
from tortie.datastore.changelog import Origin
from tortie.datastore.contract import Datastore
from tortie.datastore.journal import Journal, Replacement, read_history
from tortie.datastore.keys import resource_key
from tortie.datastore.pending import Pending

ALICE, AGENT = Origin("alice", "tortie", "", "c1"), Origin("agent", "tortie-agent", "", "c1-back")


def value(name: str, *nets: str) -> bytes:
    return codec.encode(GlobalNetworkSet(metadata=Metadata(name=name), spec=NetworkSetSpec(nets=nets)))


async def changes_of(datastore: Datastore) -> list[Replacement]:
    """One that is there becomes another, and one comes into being."""
    keys = [GlobalNetworkSet(metadata=Metadata(name=name), spec=NetworkSetSpec()).key for name in ("a", "b")]
    await datastore.create(resource_key(keys[0]), value("a"))
    stored = await datastore.get(resource_key(keys[0]))
    return [Replacement(keys[0], stored, value("a", "10.0.0.0/8")), Replacement(keys[1], None, value("b"))]


async def applied(datastore: Datastore, now: float = 1000.0) -> list[Replacement]:
    changes = await changes_of(datastore)
    pending = Pending(change="c1", who="alice", seconds=60, writes=tuple(map(trials.pending_write, changes)))
    await trials.offer(datastore, pending)
    assert (await trials.read_pending(datastore))[0].pending == pending
    journal = Journal(datastore, SystemClock(), ALICE)
    assert (await trials.apply_offered(datastore, journal, pending, changes, now)).until == now + 60
    return changes


async def stored(datastore: Datastore) -> list[bytes]:
    return [item.value for item in (await datastore.list("/calico/")).items]


async def test_a_change_is_taken_back_to_the_byte_and_recorded(datastore: Datastore) -> None:
    await applied(datastore)
    assert await stored(datastore) == [value("a", "10.0.0.0/8"), value("b")]
    assert await trials.take_back(datastore, SystemClock(), "c1", AGENT) == []
    assert await stored(datastore) == [value("a")]
    assert await trials.read_pending(datastore) == []
    assert [one.record.change for one in await read_history(datastore)] == ["c1", "c1", "c1-back", "c1-back"]


async def test_a_confirmed_change_stays(datastore: Datastore) -> None:
    await applied(datastore)
    await trials.confirm(datastore, "c1", 1059.0)
    assert await trials.take_back(datastore, SystemClock(), "c1", AGENT) is None
    assert await stored(datastore) == [value("a", "10.0.0.0/8"), value("b")]
    with pytest.raises(NotFound):
        await trials.confirm(datastore, "c1", 1059.0)


async def test_a_change_whose_time_is_over_cannot_be_confirmed(datastore: Datastore) -> None:
    await applied(datastore)
    with pytest.raises(Conflict, match="not confirmed in time"):
        await trials.confirm(datastore, "c1", 1060.0)


async def test_of_many_that_take_back_and_one_that_confirms_one_decides(datastore: Datastore) -> None:
    await applied(datastore)

    async def confirm() -> bool:
        try:
            await trials.confirm(datastore, "c1", 1000.0)
        except NotFound:
            return False
        return True

    backs = (trials.take_back(datastore, SystemClock(), "c1", AGENT) for _ in range(8))
    confirmed, *taken = await asyncio.gather(confirm(), *backs)
    assert [confirmed, *(one is not None for one in taken)].count(True) == 1
    assert (await stored(datastore) == [value("a")]) is not confirmed


async def test_what_others_changed_since_is_left_to_them(datastore: Datastore) -> None:
    first, second = await applied(datastore)
    await datastore.put(resource_key(first.key), value("a", "192.0.2.0/24"))
    assert await trials.take_back(datastore, SystemClock(), "c1", AGENT) == [first.key]
    assert await stored(datastore) == [value("a", "192.0.2.0/24")]
    assert await datastore.get(resource_key(second.key)) is None


async def test_what_others_deleted_meanwhile_needs_nothing(datastore: Datastore) -> None:
    first, second = await applied(datastore)
    await datastore.delete(resource_key(second.key))
    await datastore.put(resource_key(first.key), first.stored.value if first.stored else b"")
    assert await trials.take_back(datastore, SystemClock(), "c1", AGENT) == []
    assert await stored(datastore) == [value("a")]


async def test_an_offer_changes_nothing_and_can_be_withdrawn(datastore: Datastore) -> None:
    changes = await changes_of(datastore)
    pending = Pending(change="c1", who="alice", seconds=60, writes=tuple(map(trials.pending_write, changes)))
    await trials.offer(datastore, pending)
    with pytest.raises(Conflict, match="not been applied"):
        await trials.confirm(datastore, "c1", 0)
    await trials.withdraw(datastore, "c1")
    await trials.withdraw(datastore, "c1")
    assert await trials.read_pending(datastore) == []
    with pytest.raises(NotFound):
        await trials.apply_offered(datastore, Journal(datastore, SystemClock(), ALICE), pending, changes, 0)


async def test_what_changed_since_it_was_offered_is_not_applied(datastore: Datastore) -> None:
    changes = await changes_of(datastore)
    pending = Pending(change="c1", who="alice", seconds=60, writes=tuple(map(trials.pending_write, changes)))
    await trials.offer(datastore, pending)
    await datastore.put(resource_key(changes[1].key), b"{}")
    with pytest.raises((AlreadyExists, StaleRevision)):
        await trials.apply_offered(datastore, Journal(datastore, SystemClock(), ALICE), pending, changes, 0)
    assert value("a", "10.0.0.0/8") not in await stored(datastore)


async def test_nodes_are_heard(datastore: Datastore) -> None:
    await trials.say_heard(datastore, "c1", "n1", trials.PREPARED)
    await trials.say_heard(datastore, "c1", "n1", trials.APPLIED)
    await trials.say_heard(datastore, "c2", "n2", trials.APPLIED)
    assert await trials.heard(datastore, "c1") == {"n1": trials.APPLIED}


async def test_what_is_no_pending_change_is_passed_over(datastore: Datastore) -> None:
    await datastore.put(trials.PENDING_ROOT + "x", b"\xff")
    assert await trials.read_pending(datastore) == []
