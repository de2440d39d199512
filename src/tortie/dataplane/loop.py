"""The reconciler: one loop that keeps every target at the desired state.

Deltas are collected while a pass runs and taken together by the next one, so the desired state stands
still during a pass and every target sees the same. The order of the targets is the order of dependency:
what polices an endpoint stands before what lets packets reach it, for additions as for removals.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from typing import Any

from tortie.base.clock import Clock
from tortie.base.turns import Turns
from tortie.dataplane.keeper import Keeper, Schedule, Surroundings
from tortie.dataplane.status import TargetStatus
from tortie.dataplane.target import Plan, Target
from tortie.desired.delta import Delta
from tortie.desired.state import Changes, DesiredState


class Reconciler:
    """Keeps the kernel at the desired state.

    Nothing is read or written before `start`. Everything but `run` and `wait_applied` returns at once and is to
    be called in the event loop.

    Args:
        targets: in order of dependency.
        executor: one thread in the node's network namespace; reads and writes happen there.
        random: source of jitter.
    """

    def __init__(
        self,
        targets: Sequence[Target[Any, Any]],
        executor: Executor,
        clock: Clock,
        schedule: Schedule | None = None,
        random: random.Random | None = None,
    ) -> None:
        surroundings = Surroundings(executor, clock, schedule or Schedule(), random or _system_random())
        self._clock = clock
        self._turns = Turns(clock)
        self._keepers = {target.name: Keeper(target, surroundings) for target in targets}
        self._desired = DesiredState()
        self._changes = Changes()
        self._deltas: list[Delta] = []
        self._generation = 0
        self._started = asyncio.Event()
        self._wake = asyncio.Event()
        self._waiters: list[tuple[int, tuple[Keeper, ...], asyncio.Future[None]]] = []
        self._listeners: list[Callable[[Changes], None]] = []

    @property
    def desired(self) -> DesiredState:
        """What the running or last pass worked towards; not to be changed."""
        return self._desired

    @property
    def generation(self) -> int:
        """Number of the latest update; 0 before the first."""
        return self._generation

    def acknowledged(self, targets: Collection[str]) -> int:
        """The last generation that all of these targets have wholly in the kernel."""
        return min((keeper.acknowledged for name, keeper in self._keepers.items() if name in targets), default=0)

    def update(self, delta: Delta) -> int:
        """Take in a change of the desired state; returns its generation, for `wait_applied`."""
        self._deltas.append(delta)
        self._generation += 1
        self._wake.set()
        return self._generation

    def listen(self, listener: Callable[[Changes], None]) -> None:
        """Have it called after every pass, successful or not, with what the pass took in; `status` tells the rest."""
        self._listeners.append(listener)

    def start(self) -> None:
        """The updates so far are the whole desired state (the datastore is in sync): the kernel may be brought to it.

        Until then nothing is removed, because nothing is touched.
        """
        self._started.set()

    def interface_changed(self, name: str) -> None:
        """A link appeared, vanished, or went up or down."""
        self._changes.interfaces.add(name)
        self._wake.set()

    def addresses_changed(self) -> None:
        """An interface of the host itself has got or lost an address, or its name."""
        self._changes.addresses = True
        self._wake.set()

    def drifted(self, target: str) -> None:
        """Someone else changed kernel objects of this target."""
        self._keepers[target].drifted()
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. Only bugs are raised."""
        await self._started.wait()
        while True:
            await self.reconcile()
            await self._pause()

    async def reconcile(self) -> None:
        """One pass over all targets. A target that is refused does not hold up those after it."""
        self._wake.clear()
        generation = self._generation
        changes = await self._take_changes()
        for keeper in self._keepers.values():
            await keeper.reconcile(self._desired, changes, generation)
        self._tell_waiters()
        for listener in self._listeners:
            listener(changes)

    async def wait_applied(self, generation: int, targets: Collection[str] | None = None) -> None:
        """Return when this generation, or a later one, is in the kernel, by all targets or by those named.

        Objects that wait for an interface count as done; `status` lists them. Waits for ever while a target fails.
        """
        keepers = tuple(keeper for name, keeper in self._keepers.items() if targets is None or name in targets)
        if not _reached(generation, keepers):
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((generation, keepers, future))
            await future

    async def compare(self, target: str) -> Plan[Any]:
        """What would be done to a target now: the difference between desired and actual. Raises KernelError."""
        return await self._keepers[target].compare(self._desired)

    def status(self) -> tuple[TargetStatus, ...]:
        """A snapshot of every target, in order."""
        return tuple(keeper.status() for keeper in self._keepers.values())

    async def _take_changes(self) -> Changes:
        """Move to what was desired last, delta by delta: after each of them it is a state that was desired once."""
        deltas, self._deltas = self._deltas, []
        changes, self._changes = self._changes, Changes()
        for delta in deltas:
            self._desired.apply(delta)
            changes.note(delta)
            await self._turns.pause()
        return changes

    def _tell_waiters(self) -> None:
        remaining = []
        for generation, keepers, future in self._waiters:
            if future.done():
                continue
            if _reached(generation, keepers):
                future.set_result(None)
            else:
                remaining.append((generation, keepers, future))
        self._waiters = remaining

    async def _pause(self) -> None:
        """Until something changes or a target is due."""
        due = min((keeper.due() for keeper in self._keepers.values()), default=float("inf"))
        delay = max(0.0, due - self._clock.monotonic())
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if delay != float("inf"):
            tasks.append(asyncio.ensure_future(self._clock.sleep(delay)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _reached(generation: int, keepers: Collection[Keeper]) -> bool:
    return all(keeper.acknowledged >= generation for keeper in keepers)


def _system_random() -> random.Random:
    return random.Random()
