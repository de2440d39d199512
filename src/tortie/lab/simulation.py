"""Many nodes in one process: the stream, the calculation and the loop of an agent for each, and no kernel.

The code is the agents' own; the datastore is the embedded one, in memory, and the clock is simulated, so an hour passes
as soon as nobody has anything to do.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Self

from tortie.agent.consent import Consent
from tortie.agent.feed import Feed
from tortie.agent.watched import WATCHED_KINDS
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.stream import ResourceStream, StreamBatch
from tortie.desired.delta import Delta
from tortie.desired.state import DesiredState
from tortie.selector.check import selector_problem

_QUIET_ROUNDS = 30
"""Turns of the event loop in which nobody hears of anything, after which nobody will."""


class SimulatedClock:
    """A clock that goes on when it is told to. For one event loop."""

    def __init__(self, started: float = 1_790_000_000.0) -> None:
        self._started = started
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._started + self._elapsed

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has gone on by so much."""
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + max(seconds, 0.0), next(self._numbers), future))
        await future

    def next_at(self) -> float:
        """When the next sleeper wakes; infinity when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else float("inf")

    def go_to(self, elapsed: float) -> None:
        """It is so late now; who waited for it is woken."""
        self._elapsed = max(self._elapsed, elapsed)
        while self.next_at() <= self._elapsed:
            heapq.heappop(self._sleepers)[2].set_result(None)


class _CountedStream(ResourceStream):
    """Counts what it tells."""

    told = 0

    async def batches(self) -> AsyncGenerator[StreamBatch, None]:
        async with aclosing(super().batches()) as batches:
            async for batch in batches:
                self.told += len(batch.changes)
                yield batch


class SimulatedAgent:
    """What an agent has between the datastore and the kernel.

    Attributes:
        calculation: this node's.
        told: how many differences came of what it heard.
    """

    def __init__(
        self, node: str, datastore: EmbeddedDatastore, clock: SimulatedClock, executor: ThreadPoolExecutor
    ) -> None:
        self.node = node
        self.calculation = Calculation(node)
        self.told = 0
        self._stream = _CountedStream(datastore, WATCHED_KINDS, clock)
        self._reconciler = Reconciler((), executor, clock)
        consent = Consent(datastore, clock, is_needed=False)
        self._feed = Feed(self._stream, self.calculation, self._reconciler, consent, clock, told=self._note)

    @property
    def desired(self) -> DesiredState:
        """What its kernel would be brought to."""
        return self._reconciler.desired

    @property
    def heard(self) -> int:
        """How many changes it heard of."""
        return self._stream.told

    @property
    def in_sync(self) -> bool:
        """Whether it has read everything once."""
        return self._feed.synchronised.is_set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed.run())
            tasks.create_task(self._reconciler.run())

    def _note(self, delta: Delta) -> None:
        self.told += bool(delta)


class Simulation:
    """A cluster of nodes on one datastore.

    Attributes:
        store: what they share.
        agents: by node.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self.clock = SimulatedClock()
        self.datastore = EmbeddedDatastore.open_memory(clock=self.clock)
        self.store = ResourceStore(self.datastore, self.clock, selector_problem)
        self._executor = ThreadPoolExecutor(1)
        self.agents = {node: SimulatedAgent(node, self.datastore, self.clock, self._executor) for node in nodes}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(agent.run()) for agent in self.agents.values()]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.datastore.close()
        self._executor.shutdown()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def settled(self) -> None:
        """Return when nobody has anything to do before the clock goes on."""
        known, quiet = -1, 0
        while quiet < _QUIET_ROUNDS:
            await asyncio.sleep(0)
            now = sum(agent.heard + agent.told for agent in self.agents.values())
            known, quiet = now, quiet + 1 if now == known else 0

    async def pass_time(self, seconds: float) -> None:
        """Let so much time go by, and everything happen that happens meanwhile."""
        until = self.clock.monotonic() + seconds
        await self.settled()
        while (moment := self.clock.next_at()) <= until:
            self.clock.go_to(moment)
            await self.settled()
        self.clock.go_to(until)
        await self.settled()
