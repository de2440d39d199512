"""What a node tells its calculation of changes on trial, and what it keeps to go back alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.agent.kept import Kept, Shelf, copy
from tortie.agent.standing_in import DatastoreBack, copy_to_go_by, until_back
from tortie.agent.trials import Trials
from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import Unavailable
from tortie.datastore import pending as trials
from tortie.datastore.changelog import content
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.pending import Pending, PendingWrite
from tortie.datastore.source import StoredChange

KEY = ResourceKey("Tier", "", "a")
PATH = resource_key(KEY)
BEFORE, AFTER, OTHER = b'{"before":1}', b'{"after":1}', b'{"other":1}'
TRIAL = Pending(
    change="c1", who="alice", seconds=60, writes=(PendingWrite("Tier", "", "a", content(BEFORE), content(AFTER)),)
)


class Hourglass(SystemClock):
    """Time that the test lets pass."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Node:
    """Trials of one node, and what its calculation was told."""

    def __init__(self, datastore: Datastore, folder: Path, *, chosen: bool = True) -> None:
        self.clock = Hourglass()
        self.shelf = Shelf(folder)
        self.told: list[StoredChange] = []
        self.datastore = datastore

        async def is_chosen(selector: str) -> bool:
            return chosen

        async def nothing(*_: Any) -> None:
            return None

        async def anew() -> Datastore:
            return Unclosed(datastore)  # type: ignore[return-value] # all but one call

        self.trials = Trials(
            "n1",
            datastore,
            self.shelf,
            self.clock,
            is_chosen=is_chosen,
            prepare=nothing,
            anew=anew,
            tell=self.told.append,
        )

    def hears(self, value: bytes | None, revision: int = 7) -> bytes | None:
        """What the calculation is told when this is stored."""
        return self.trials.stand_in(StoredChange(PATH, value, revision)).value

    async def until(self, condition: Any) -> None:
        async def nothing() -> None:
            return None

        running = asyncio.create_task(self.trials.run(nothing))
        try:
            async with asyncio.timeout(30):
                while not await condition():
                    await self.clock.sleep(0)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class Unclosed:
    """A datastore that others use, too."""

    def __init__(self, datastore: Datastore) -> None:
        self.put = datastore.put

    async def close(self) -> None:
        return None


@pytest.fixture
async def datastore() -> AsyncIterator[EmbeddedDatastore]:
    store = EmbeddedDatastore.open_memory()
    yield store
    await store.close()


async def with_trial(datastore: Datastore, pending: Pending = TRIAL) -> None:
    await datastore.put(PATH, AFTER)
    await datastore.put(trials.PENDING_ROOT + "c1", msgspec.json.encode(pending))


async def test_what_is_on_trial_is_told_until_its_time_is_over_and_then_what_was_before(
    datastore: EmbeddedDatastore, tmp_path: Path
) -> None:
    node = Node(datastore, tmp_path)
    await with_trial(datastore)
    await node.trials.load()
    assert node.hears(AFTER) == AFTER
    node.clock.time += 61

    async def is_over() -> bool:
        return bool(node.told)

    await node.until(is_over)
    assert node.told[0] == StoredChange(PATH, AFTER, 7)
    assert node.trials.stand_in(node.told[0]).value in (BEFORE, AFTER)


async def test_the_datastore_is_brought_back_when_the_time_is_over(
    datastore: EmbeddedDatastore, tmp_path: Path
) -> None:
    node = Node(datastore, tmp_path)
    applied = msgspec.structs.replace(TRIAL, until=1060.0)
    await with_trial(datastore, applied)
    await node.trials.load()
    node.hears(AFTER)
    node.clock.time += 61

    async def is_back() -> bool:
        found = await datastore.get(PATH)
        return found is not None and found.value == BEFORE

    await node.until(is_back)
    assert not (await trials.read_pending(datastore))


async def test_what_somebody_else_wrote_meanwhile_is_told_as_it_is(
    datastore: EmbeddedDatastore, tmp_path: Path
) -> None:
    node = Node(datastore, tmp_path, chosen=False)
    await with_trial(datastore, msgspec.structs.replace(TRIAL, nodes="all()"))
    await node.trials.load()
    assert node.hears(AFTER) == BEFORE, "it is not tried on this node"
    assert node.hears(OTHER) == OTHER
    assert node.hears(None) is None
    assert node.trials.stand_in(StoredChange("/else", AFTER, 1)).value == AFTER


async def test_a_confirmed_change_is_told_where_it_was_withheld(datastore: EmbeddedDatastore, tmp_path: Path) -> None:
    node = Node(datastore, tmp_path, chosen=False)
    await with_trial(datastore, msgspec.structs.replace(TRIAL, nodes="all()", until=9e9))
    await node.trials.load()
    stored = await datastore.get(PATH)
    assert stored is not None
    node.hears(AFTER, stored.revision)
    node.trials.handed_on()

    async def said() -> bool:
        return await trials.heard(datastore, "c1") == {"n1": trials.APPLIED}

    async def told() -> bool:
        return node.told == [StoredChange(PATH, AFTER, stored.revision)]

    await node.until(said)
    await trials.confirm(datastore, "c1", 0)
    await node.until(told)
    assert node.hears(AFTER, stored.revision) == AFTER
    assert node.shelf.all() == []


async def test_what_is_still_being_calculated_is_not_called_applied(
    datastore: EmbeddedDatastore, tmp_path: Path
) -> None:
    node = Node(datastore, tmp_path)
    await with_trial(datastore)
    await node.trials.load()
    node.hears(AFTER)

    async def said(state: str) -> bool:
        return await trials.heard(datastore, "c1") == {"n1": state}

    await node.until(lambda: said(trials.PREPARED))
    node.trials.handed_on()
    await node.until(lambda: said(trials.APPLIED))


async def test_the_time_goes_on_over_a_restart(datastore: EmbeddedDatastore, tmp_path: Path) -> None:
    first, second = Node(datastore, tmp_path), Node(datastore, tmp_path)
    await with_trial(datastore)
    await first.trials.load()
    first.hears(AFTER)
    (kept,) = first.shelf.all()
    assert kept.deadline == 1060.0
    second.clock.time += 59
    await second.trials.load()
    second.hears(AFTER)
    assert second.shelf.all() == [kept]


async def test_what_was_decided_while_nobody_was_there_is_forgotten(
    datastore: EmbeddedDatastore, tmp_path: Path
) -> None:
    node = Node(datastore, tmp_path)
    node.shelf.keep(Kept(TRIAL, 5.0))
    await node.trials.load()
    assert node.shelf.all() == []
    assert node.hears(AFTER) == AFTER


async def test_a_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.keep(Kept(TRIAL))
    (tmp_path / "pending" / "c0.json").write_bytes(b"half of")
    assert shelf.all() == [Kept(TRIAL)]


async def test_a_copy_is_as_it_was_before(datastore: EmbeddedDatastore, tmp_path: Path) -> None:
    created = PendingWrite("Tier", "", "new", None, content(AFTER))
    pending = msgspec.structs.replace(TRIAL, writes=(*TRIAL.writes, created))
    for key, value in ((PATH, AFTER), (created.stored_key, AFTER), ("/calico/x", OTHER)):
        await datastore.put(key, value)
    for _ in range(2):
        await copy(datastore, ["/calico/"], pending, tmp_path / "pending" / "c1.db")
    found = await EmbeddedDatastore.open(tmp_path / "pending" / "c1.db")
    assert {item.key: item.value for item in (await found.list("")).items} == {PATH: BEFORE, "/calico/x": OTHER}
    await found.close()


class Away(EmbeddedDatastore):
    """Answers after so many questions."""

    questions = 0

    async def get(self, key: str) -> KeyValue | None:
        self.questions -= 1
        if self.questions >= 0:
            raise Unavailable("away")
        return await super().get(key)


async def test_a_copy_is_gone_by_only_when_the_time_is_over_and_nobody_answers(tmp_path: Path) -> None:
    away, clock, shelf = Away.open_memory(), Hourglass(), Shelf(tmp_path)
    assert isinstance(away, Away)
    away.questions = 1_000
    assert await copy_to_go_by(shelf, away, clock) is None, "nothing is kept"
    shelf.keep(Kept(TRIAL, 990.0))
    shelf.copy_of("c1").touch()
    assert await copy_to_go_by(shelf, away, clock) == shelf.copy_of("c1")
    shelf.keep(Kept(TRIAL, 1050.0))
    away.questions = 3
    assert await copy_to_go_by(shelf, away, clock) is None, "it answers in time"
    away.questions = 3
    with pytest.raises(DatastoreBack):
        await until_back(away, clock)
    await away.close()
