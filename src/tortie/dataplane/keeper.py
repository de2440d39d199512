"""Keeps one target: what its kernel objects are believed to be, when to look again, how attempts went."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import msgspec
import structlog

from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import TortieError
from tortie.dataplane.status import Counters, Phase, TargetStatus
from tortie.dataplane.target import Plan, Target
from tortie.desired.state import Changes, DesiredState

Result = TypeVar("Result")

# Not None, which a target may well read: a device that is not there.
_UNKNOWN: Final = object()


class Schedule(msgspec.Struct, frozen=True):
    """When targets are compared with the kernel.

    Args:
        full_interval: seconds between full passes, each shortened by up to a quarter.
        drift_spacing: least seconds between full passes that foreign changes cause, so that a fight with another
            program costs little.
        retry_first, retry_limit: seconds before the first retry, and the longest delay.
    """

    full_interval: float = 90.0
    drift_spacing: float = 1.0
    retry_first: float = 0.1
    retry_limit: float = 30.0


class Surroundings(msgspec.Struct, frozen=True):
    """What is passed in to every keeper.

    Args:
        executor: runs what blocks, in the node's network namespace.
        random: source of jitter.
    """

    executor: Executor
    clock: Clock
    schedule: Schedule
    random: random.Random


class Keeper:
    """One target's share of the loop. What it read is _UNKNOWN until a pass succeeded."""

    def __init__(self, target: Target[Any, Any], surroundings: Surroundings) -> None:
        schedule = surroundings.schedule
        self.target = target
        self._executor = surroundings.executor
        self._clock = surroundings.clock
        self._schedule = schedule
        self._random = surroundings.random
        self._backoff = Backoff(schedule.retry_first, schedule.retry_limit, random=surroundings.random)
        self._log = structlog.get_logger(target=target.name)
        self._actual: Any = _UNKNOWN
        self._retry_at = 0.0
        self._full_at = 0.0
        self._drifted = False
        self._drift_seen_at = float("-inf")
        self._acknowledged = 0
        self._last_full = 0.0
        self._failing = ""
        self._waiting: dict[str, str] = {}
        self._counters = Counters()

    @property
    def acknowledged(self) -> int:
        """The last generation that is wholly in the kernel."""
        return self._acknowledged

    def drifted(self) -> None:
        """Someone else changed what is ours: read again soon."""
        self._drifted = True

    def due(self) -> float:
        """When to look again even if nothing changes, on the monotonic clock."""
        if self._actual is _UNKNOWN:
            return self._retry_at
        drift_at = self._drift_seen_at + self._schedule.drift_spacing
        return min(drift_at, self._full_at) if self._drifted else self._full_at

    async def reconcile(self, desired: DesiredState, changes: Changes, generation: int) -> None:
        """Bring the kernel to the desired state as far as it lets us; refusals are remembered, not raised."""
        started = self._clock.monotonic()
        full = started >= self.due()
        if self._actual is _UNKNOWN and not full:
            return
        if full or changes:
            try:
                await (self._full_pass(desired) if full else self._short_pass(desired, changes))
            except TortieError as error:
                self._failed(error)
                return
            finally:
                self._count(passes=1, full_passes=int(full), seconds=self._clock.monotonic() - started)
        self._acknowledged = generation

    async def compare(self, desired: DesiredState) -> Plan[Any]:
        """What a full pass would do now; does nothing. Raises KernelError."""
        actual = await self._run(self.target.read)
        return self.target.plan(desired, actual, None)

    def status(self) -> TargetStatus:
        """A snapshot."""
        known = Phase.PROGRAMMED if self._last_full else Phase.PENDING
        return TargetStatus(
            name=self.target.name,
            phase=Phase.FAILING if self._failing else known,
            acknowledged=self._acknowledged,
            last_full=self._last_full,
            failing=self._failing,
            waiting=dict(self._waiting),
            counters=self._counters,
        )

    async def _full_pass(self, desired: DesiredState) -> None:
        if self._drifted:
            self._drift_seen_at = self._clock.monotonic()
            self._count(drifts=1)
        # Cleared before reading: what drifts while it is being read is looked at again.
        self._drifted = False
        actual = await self._run(self.target.read)
        # There, because comparing everything takes long; the desired state stands still meanwhile.
        plan = await self._run(self.target.plan, desired, actual, None)
        await self._carry_out(actual, plan)
        self._waiting = dict(plan.waiting)
        self._succeeded()

    async def _short_pass(self, desired: DesiredState, changes: Changes) -> None:
        plan = self.target.plan(desired, self._actual, changes)
        await self._carry_out(self._actual, plan)
        for settled in plan.settled:
            self._waiting.pop(settled, None)
        self._waiting.update(plan.waiting)

    async def _carry_out(self, actual: Any, plan: Plan[Any]) -> None:
        # Unknown until it is known to have succeeded, whatever interrupts it.
        self._actual = _UNKNOWN
        if plan.operations:
            await self._run(self.target.apply, plan.operations)
            self._count(operations=len(plan.operations))
        self._actual = self.target.applied(actual, plan)

    def _succeeded(self) -> None:
        now = self._clock.monotonic()
        self._backoff.reset()
        if self._failing:
            self._log.info("programming recovered")
        self._failing = ""
        self._last_full = self._clock.now()
        self._full_at = now + self._schedule.full_interval * (1 - self._random.random() / 4)

    def _failed(self, error: TortieError) -> None:
        delay = self._backoff.next()
        self._actual = _UNKNOWN
        self._retry_at = self._clock.monotonic() + delay
        self._failing = str(error)
        self._count(failures=1)
        self._log.warning("programming failed", reason=self._failing, retry_seconds=round(delay, 3))

    def _count(self, **more: float) -> None:
        old = self._counters
        self._counters = msgspec.structs.replace(old, **{name: getattr(old, name) + n for name, n in more.items()})

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
