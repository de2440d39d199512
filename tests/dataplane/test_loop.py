"""The loop: what it does when, on fake targets and under a clock that stands still."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.fake import Drop, FakeTarget, Put
from tortie.dataplane.keeper import Schedule
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.status import Phase
from tortie.dataplane.target import Plan, Target
from tortie.desired.delta import Delta
from tortie.desired.routes import Route
from tortie.desired.state import Changes, DesiredState


class Clock(Protocol):
    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...
    def advance(self, seconds: float) -> None: ...


Make = Callable[..., Reconciler]
REFUSAL = KernelError("program something", errno.EBUSY)


@pytest.fixture
def make(executor: Executor, clock: Clock) -> Make:
    def make(*targets: Target[Any, Any], **schedule: float) -> Reconciler:
        reconciler = Reconciler(targets, executor, clock, Schedule(**schedule))
        reconciler.start()
        return reconciler

    return make


@asynccontextmanager
async def running(reconciler: Reconciler) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(reconciler.run())
    yield task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def wants(**routes: str) -> Delta:
    """`a="cali1"` wants 10.0.0.97/32 out of cali1."""
    return Delta(routes=tuple(Route(address(name), interface) for name, interface in routes.items()))


def no_longer(*names: str) -> Delta:
    return Delta(removed_routes=tuple(address(name) for name in names))


def address(name: str) -> Cidr:
    return Cidr.host(f"10.0.0.{ord(name)}")


def key(name: str) -> str:
    return str(address(name))


async def settle() -> None:
    """Let everything run that can without time passing; the worker thread has had its turn when this returns."""
    for _ in range(50):
        await asyncio.sleep(0.001)


async def test_nothing_is_read_or_written_before_the_start(executor: Executor, clock: Clock) -> None:
    target = FakeTarget()
    target.kernel = {key("z"): "cali9"}
    reconciler = Reconciler([target], executor, clock)
    reconciler.update(wants(a="cali1"))
    async with running(reconciler):
        await settle()
        assert (target.reads, target.kernel) == (0, {key("z"): "cali9"})
        assert reconciler.status()[0].phase == Phase.PENDING
        reconciler.start()
        await reconciler.wait_applied(1)
        assert target.kernel == {key("a"): "cali1"}


async def test_the_first_pass_rewrites_nothing_that_is_right(make: Make) -> None:
    target = FakeTarget()
    target.kernel = {key("a"): "cali1", key("z"): "cali9"}
    reconciler = make(target)
    reconciler.update(wants(a="cali1", b="cali2"))
    await reconciler.reconcile()
    assert target.journal == [("fake", Drop(key("z"))), ("fake", Put(key("b"), "cali2"))]


async def test_others_work_while_changes_are_taken_in_and_what_they_tell_belongs_to_the_next_pass(
    make: Make, clock: Clock
) -> None:
    target = FakeTarget()
    reconciler = make(target)
    reconciler.update(wants(a="cali1"))
    reconciler.update(wants(b="cali2"))
    task = asyncio.create_task(reconciler.reconcile())
    await asyncio.sleep(0)
    assert not target.reads
    assert reconciler.update(wants(c="cali3")) == 3
    await task
    assert target.kernel == {key("a"): "cali1", key("b"): "cali2"}
    assert reconciler.acknowledged(["fake"]) == 2
    await reconciler.reconcile()
    assert target.kernel == {key("a"): "cali1", key("b"): "cali2", key("c"): "cali3"}


class AbsentDevice:
    """A target of one device that is neither there nor wanted: what it reads is None."""

    name = "device"

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> None:
        self.reads += 1

    def plan(self, desired: DesiredState, actual: None, changes: Changes | None) -> Plan[Put]:
        return Plan()

    def apply(self, operations: Sequence[Put]) -> None:
        raise AssertionError(operations)

    def applied(self, actual: None, plan: Plan[Put]) -> None:
        return None


async def test_a_device_that_is_known_to_be_absent_is_not_looked_for_again_and_again(make: Make) -> None:
    target = AbsentDevice()
    reconciler = make(target)
    async with running(reconciler):
        await settle()
        reconciler.update(wants(a="cali1"))
        await settle()
    assert target.reads == 1


async def test_later_passes_read_nothing_and_do_only_what_changed(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    reconciler.update(wants(a="cali1"))
    await reconciler.reconcile()
    target.journal.clear()
    reconciler.update(wants(b="cali2"))
    reconciler.update(no_longer("a"))
    await reconciler.reconcile()
    assert target.journal == [("fake", Drop(key("a"))), ("fake", Put(key("b"), "cali2"))]
    assert target.reads == 1


async def test_updates_during_a_pass_become_one_pass(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1")))
        target.gate.clear()
        reconciler.update(wants(b="cali1"))
        await settle()
        for number in range(100):
            reconciler.update(wants(c=f"cali{number}"))
        last = reconciler.update(wants(d="cali1"))
        target.gate.set()
        await reconciler.wait_applied(last)
        assert target.applies == 3
        assert target.kernel[key("c")] == "cali99"


async def test_all_targets_of_a_pass_see_the_same_state(make: Make) -> None:
    first, second = FakeTarget("first"), FakeTarget("second")
    reconciler = make(first, second)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1")))
        first.gate.clear()
        reconciler.update(wants(a="cali2"))
        await settle()
        last = reconciler.update(wants(a="cali3"))
        first.gate.set()
        await reconciler.wait_applied(last)
        assert [one.value for _, one in second.journal if isinstance(one, Put)] == ["cali1", "cali2", "cali3"]


async def test_targets_are_programmed_in_their_order_for_additions_and_removals(make: Make) -> None:
    journal: list[tuple[str, Put | Drop]] = []
    reconciler = make(FakeTarget("nftables", journal), FakeTarget("routes", journal))
    reconciler.update(wants(a="cali1"))
    await reconciler.reconcile()
    reconciler.update(no_longer("a"))
    await reconciler.reconcile()
    assert [name for name, _ in journal] == ["nftables", "routes", "nftables", "routes"]


async def test_a_refused_target_is_retried_from_a_fresh_reading_after_a_while(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target, retry_first=1.0)
    reconciler.update(wants(a="cali1", b="cali2"))
    target.failures = [REFUSAL]
    await reconciler.reconcile()
    assert reconciler.status()[0].failing == str(REFUSAL)
    target.kernel, target.failures = {key("z"): "cali9"}, []
    await reconciler.reconcile()
    assert target.reads == 1
    clock.advance(1.0)
    await reconciler.reconcile()
    assert target.kernel == {key("a"): "cali1", key("b"): "cali2"}
    status = reconciler.status()[0]
    assert (status.phase, status.failing, status.acknowledged) == (Phase.PROGRAMMED, "", 1)
    assert (status.counters.failures, status.counters.full_passes) == (1, 2)


async def test_a_plan_refused_half_way_is_completed(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target)
    await reconciler.reconcile()
    reconciler.update(wants(a="cali1", b="cali2", c="cali3"))
    target.failures = [REFUSAL]
    await reconciler.reconcile()
    assert target.kernel == {key("a"): "cali1"}
    clock.advance(1.0)
    await reconciler.reconcile()
    assert sorted(target.kernel) == sorted([key("a"), key("b"), key("c")])


async def test_delays_grow_while_refused_and_start_over_after_success(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target, retry_first=1.0, retry_limit=8.0, full_interval=1e9)

    async def attempts(seconds: int) -> list[int]:
        before = target.reads
        at = []
        for second in range(seconds):
            await reconciler.reconcile()
            if target.reads > before:
                before = target.reads
                at.append(second)
            clock.advance(1.0)
        return at

    target.failures = [REFUSAL] * 5
    first = await attempts(40)
    gaps = [after - before for before, after in itertools.pairwise(first)]
    assert len(gaps) == 5 and gaps[0] < gaps[1] < gaps[2] < min(gaps[3:]) and max(gaps) <= 8
    target.failures = [REFUSAL] * 2
    reconciler.drifted("fake")
    again = await attempts(10)
    assert again[1] - again[0] <= 1


async def test_changes_while_a_target_is_refused_are_not_lost(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target)
    target.failures = [REFUSAL]
    reconciler.update(wants(a="cali1"))
    await reconciler.reconcile()
    reconciler.update(wants(b="cali2"))
    await reconciler.reconcile()
    clock.advance(1.0)
    await reconciler.reconcile()
    assert target.kernel == {key("a"): "cali1", key("b"): "cali2"}
    assert reconciler.status()[0].acknowledged == 2


async def test_a_refused_target_does_not_hold_up_the_others(make: Make) -> None:
    bad, good = FakeTarget("bad"), FakeTarget("good")
    bad.failures = [REFUSAL] * 3
    reconciler = make(bad, good)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1")), ["good"])
        await reconciler.wait_applied(reconciler.update(wants(b="cali1")), ["good"])
    assert [status.acknowledged for status in reconciler.status()] == [0, 2]
    assert len(good.kernel) == 2


async def test_listeners_hear_of_every_pass_and_what_it_took_in_whether_it_was_refused_or_not(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    heard: list[tuple[set[Cidr], str]] = []
    reconciler.listen(lambda changes: heard.append((changes.routes, reconciler.status()[0].failing)))
    reconciler.update(wants(a="cali1"))
    target.failures.append(REFUSAL)
    await reconciler.reconcile()
    await reconciler.reconcile()
    assert heard == [({address("a")}, str(REFUSAL)), (set(), str(REFUSAL))]


async def test_drift_that_the_kernel_reports_is_repaired(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1")))
        target.kernel.clear()
        reconciler.drifted("fake")
        await settle()
        assert target.kernel == {key("a"): "cali1"}
        assert reconciler.status()[0].counters.drifts == 1


async def test_a_fight_with_another_program_is_paced(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target, drift_spacing=1.0)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1")))
        for _ in range(10):
            reconciler.drifted("fake")
            await settle()
        assert target.reads == 2
        clock.advance(1.0)
        await settle()
        assert target.reads == 3


async def test_drift_during_a_full_pass_causes_another(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target)
    reconciler.update(wants(a="cali1"))
    target.gate.clear()
    task = asyncio.create_task(reconciler.reconcile())
    await settle()
    reconciler.drifted("fake")
    target.gate.set()
    await task
    await reconciler.reconcile()
    assert target.reads == 2


async def test_everything_is_compared_from_time_to_time(make: Make, clock: Clock) -> None:
    target = FakeTarget()
    reconciler = make(target, full_interval=90.0)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1")))
        target.kernel = {key("z"): "cali9"}
        await settle()
        clock.advance(60.0)
        await settle()
        assert target.kernel == {key("z"): "cali9"}
        clock.advance(30.0)
        await settle()
        assert target.kernel == {key("a"): "cali1"}


async def test_what_waits_for_an_interface_is_told_and_done_when_it_comes(make: Make) -> None:
    target = FakeTarget()
    target.missing = {"cali1"}
    reconciler = make(target)
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(wants(a="cali1", b="cali2")))
        assert reconciler.status()[0].waiting == {key("a"): "cali1 does not exist"}
        await reconciler.wait_applied(reconciler.update(wants(c="cali1")))
        assert set(reconciler.status()[0].waiting) == {key("a"), key("c")}
        await reconciler.wait_applied(reconciler.update(no_longer("c")))
        target.missing.clear()
        reconciler.interface_changed("cali1")
        await settle()
        assert reconciler.status()[0].waiting == {}
        assert target.kernel == {key("a"): "cali1", key("b"): "cali2"}
        assert target.reads == 1


async def test_waiting_ends_only_with_the_generation_or_a_later_one(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    async with running(reconciler):
        target.gate.clear()
        waiter = asyncio.create_task(reconciler.wait_applied(reconciler.update(wants(a="cali1"))))
        await settle()
        assert not waiter.done()
        target.gate.set()
        await waiter
        assert target.kernel == {key("a"): "cali1"}
        await reconciler.wait_applied(0)
        abandoned = asyncio.create_task(reconciler.wait_applied(99))
        await settle()
        abandoned.cancel()
        await reconciler.wait_applied(reconciler.update(wants(b="cali1")))


async def test_an_empty_update_is_acknowledged_too(make: Make) -> None:
    reconciler = make(FakeTarget())
    async with running(reconciler):
        await reconciler.wait_applied(reconciler.update(Delta()))


async def test_the_difference_is_shown_without_being_repaired(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    reconciler.update(wants(a="cali1"))
    await reconciler.reconcile()
    target.kernel = {key("z"): "cali9"}
    plan = await reconciler.compare("fake")
    assert plan.operations == [Drop(key("z")), Put(key("a"), "cali1")]
    assert target.kernel == {key("z"): "cali9"}


async def test_bugs_are_not_taken_for_refusals(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    target = FakeTarget()

    def bug(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(target, "plan", bug)
    with pytest.raises(ZeroDivisionError):
        await make(target).run()


async def test_a_pass_cut_off_by_cancellation_is_followed_by_a_full_one(make: Make) -> None:
    target = FakeTarget()
    reconciler = make(target)
    await reconciler.reconcile()
    target.gate.clear()
    reconciler.update(wants(a="cali1"))
    task = asyncio.create_task(reconciler.reconcile())
    await settle()
    task.cancel()
    target.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await reconciler.reconcile()
    assert (target.reads, target.kernel) == (2, {key("a"): "cali1"})
