"""Carrying plans out while others write, and while the datastore goes away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import pytest

from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.tier import Tier, TierSpec
from tortie.base.clock import SystemClock
from tortie.base.errors import NotPermitted, OutcomeUnknown, Unavailable
from tortie.cli.manifests import Named, complete
from tortie.cli.plan import Wish, plan_deletions, plan_writes, rehearse
from tortie.cli.report import Reporter, Showing
from tortie.cli.writing import ATTEMPTS, Written, carry_out
from tortie.datastore.contract import Write
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

Interference = Callable[["Interfered", str], Awaitable[None]]


def tier(name: str, order: float = 1.0, revision: str = "") -> Tier:
    resource = complete(Tier(metadata=Metadata(name=name, resource_version=revision), spec=TierSpec(order=order)))
    assert isinstance(resource, Tier)
    return resource


class Interfered(EmbeddedDatastore):
    """A datastore in which something happens just before each write."""

    before_write: Interference | None = None
    quiet = False

    async def _disturb(self, key: str) -> None:
        if self.before_write is not None and not self.quiet:
            self.quiet = True
            await self.before_write(self, key)
            self.quiet = False

    async def create(self, key: str, value: bytes) -> int:
        await self._disturb(key)
        return await super().create(key, value)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        await self._disturb(key)
        return await super().update(key, value, revision)

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        await self._disturb(writes[0].key)
        return await super().write_together(writes)

    async def delete(self, key: str, revision: int | None = None) -> int:
        await self._disturb(key)
        return await super().delete(key, revision)


@pytest.fixture
async def datastore() -> AsyncIterator[Interfered]:
    store = Interfered.open_memory()
    assert isinstance(store, Interfered)
    yield store
    await store.close()


def resources(datastore: Interfered) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), selector_problem)


def wish(name: str, order: float = 1.0, **rules: bool) -> Wish:
    def make(stored: Resource | None) -> Resource:
        revision = stored.metadata.resource_version if stored else ""
        return tier(name, order, revision)

    return Wish(ResourceKey("Tier", "", name), make, **rules)  # type: ignore[arg-type] # rules are flags


async def test_a_write_that_meets_another_is_planned_again(datastore: Interfered) -> None:
    store = resources(datastore)
    await store.create(tier("a", 5.0))
    met: list[str] = []

    async def write_too(datastore: Interfered, key: str) -> None:
        if len(met) < 3:
            met.append(key)
            current = await store.get(ResourceKey("Tier", "", "a"))
            assert current is not None
            await store.update(tier("a", 10.0 + len(met), current.metadata.resource_version))

    plan = await plan_writes(store, [wish("a", 7.0)])
    datastore.before_write = write_too
    outcomes = await carry_out(store, plan, lambda written: None)
    assert [one.outcome for one in outcomes.written] == ["changed"]
    assert len(met) == 3
    current = await store.get(ResourceKey("Tier", "", "a"))
    assert isinstance(current, Tier)
    assert current.spec.order == 7.0


async def test_a_write_that_always_meets_another_is_given_up(datastore: Interfered) -> None:
    store = resources(datastore)
    await store.create(tier("a", 5.0))
    met: list[str] = []

    async def write_too(datastore: Interfered, key: str) -> None:
        met.append(key)
        current = await store.get(ResourceKey("Tier", "", "a"))
        assert current is not None
        await store.update(tier("a", 100.0 + len(met), current.metadata.resource_version))

    plan = await plan_writes(store, [wish("a", 7.0)])
    datastore.before_write = write_too
    outcomes = await carry_out(store, plan, lambda written: None)
    assert outcomes.written == ()
    assert [str(one.key) for one in outcomes.refused] == ["Tier a"]
    assert len(met) == ATTEMPTS


async def test_an_object_that_appears_meanwhile_is_not_created_over(datastore: Interfered) -> None:
    store = resources(datastore)

    async def create_too(datastore: Interfered, key: str) -> None:
        if "tiers/b" in key and await store.get(ResourceKey("Tier", "", "b")) is None:
            await store.create(tier("b", 9.0))

    plan = await plan_writes(store, [wish("a"), wish("b", may_change=False), wish("c")])
    datastore.before_write = create_too
    outcomes = await carry_out(store, plan, lambda written: None)
    assert [one.key.name for one in outcomes.written] == ["a", "c"]
    assert "already exists" in str(outcomes.refused[0].problems[0])


async def test_what_was_written_before_the_datastore_went_away_is_known(
    datastore: Interfered, capsys: pytest.CaptureFixture[str]
) -> None:
    store = resources(datastore)

    async def fail(datastore: Interfered, key: str) -> None:
        if "tiers/b" in key:
            raise Unavailable("no answer within 5 s")

    plan = await plan_writes(store, [wish("a"), wish("b"), wish("c")])
    datastore.before_write = fail
    told: list[Written] = []
    outcomes = await carry_out(store, plan, told.append)
    assert [one.key.name for one in told] == ["a"]
    assert [key.name for key in outcomes.left] == ["c"]
    assert Reporter().finish(Showing("apply"), outcomes) == 3
    assert capsys.readouterr().err.splitlines() == [
        "Tier b: no answer within 5 s",
        "1 of 3 written; not written: Tier b, Tier c; run it again when the datastore answers",
    ]


async def test_a_write_without_an_answer_is_told_as_neither_written_nor_not(
    datastore: Interfered, capsys: pytest.CaptureFixture[str]
) -> None:
    store = resources(datastore)

    async def fail(datastore: Interfered, key: str) -> None:
        if "tiers/b" in key:
            raise OutcomeUnknown("no answer in 5 s")

    plan = await plan_writes(store, [wish("a"), wish("b"), wish("c")])
    datastore.before_write = fail
    outcomes = await carry_out(store, plan, lambda written: None)
    assert outcomes.unknown == ResourceKey("Tier", "", "b")
    assert Reporter().finish(Showing("apply"), outcomes) == 3
    assert capsys.readouterr().err.splitlines() == [
        "Tier b: no answer in 5 s",
        "whether Tier b was written is unknown: the datastore was asked and did not answer; "
        "see `tortie get tier b -o yaml`",
        "1 of 3 written; not written: Tier c; run it again when the datastore answers",
    ]


async def test_what_the_datastore_would_refuse_is_refused_before_the_first_write(datastore: Interfered) -> None:
    store = resources(datastore)
    key = resource_key(ResourceKey("Tier", "", "b"))

    async def refuses(writes: Mapping[str, bytes]) -> Mapping[str, NotPermitted]:
        return {key: NotPermitted("permission denied")} if key in writes else {}

    datastore.rehearse = refuses  # type: ignore[method-assign] # as a server with roles does
    plan = await rehearse(store, await plan_writes(store, [wish("a"), wish("b")]))
    assert [step.key.name for step in plan.steps] == ["a"]
    assert [str(one.problems[0]) for one in plan.refusals] == ["Tier b: permission denied"]


async def test_what_someone_else_deleted_meanwhile_counts_as_deleted(datastore: Interfered) -> None:
    store = resources(datastore)
    await store.create(tier("a"))
    plan = await plan_deletions(store, [Named(ResourceKey("Tier", "", "a"))], skip_absent=False)

    async def delete_too(datastore: Interfered, key: str) -> None:
        await store.delete(ResourceKey("Tier", "", "a"))

    datastore.before_write = delete_too
    outcomes = await carry_out(store, plan, lambda written: None)
    assert [one.outcome for one in outcomes.written] == ["deleted"]
