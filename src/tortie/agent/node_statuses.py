"""Answers CalicoNodeStatus requests: what this node's BGP daemon says of itself, its sessions and its routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from tortie.agent.node_status_content import ROUTES, answer
from tortie.agent.settings import Settings
from tortie.api.caliconodestatus import CalicoNodeStatus, CalicoNodeStatusSpec
from tortie.api.resource import ResourceKey
from tortie.base.clock import Clock
from tortie.base.errors import StaleRevision, TortieError, Unavailable
from tortie.bgp.control import BirdControl, BirdRefused
from tortie.bgp.routes import Question, routes
from tortie.bgp.speaker import Speaker
from tortie.bgp.status import daemon, sessions
from tortie.datastore.contract import Datastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.stream import Change, ResourceStream
from tortie.selector.check import selector_problem

RETRY_SECONDS = 5.0
"""Between two attempts at an answer that could not be written."""


class NodeStatuses:
    """Keeps the answers of one node fresh, each at the pace that its request asks for.

    Args:
        stream: of CalicoNodeStatus resources only.
        bird_socket: where the daemon answers; None where there is none.
        refusal: why nothing may be written now; empty when it may.
    """

    def __init__(
        self,
        node: str,
        stream: ResourceStream,
        store: ResourceStore,
        clock: Clock,
        bird_socket: Path | None,
        refusal: Callable[[], str],
    ) -> None:
        self._node = node
        self._stream = stream
        self._store = store
        self._clock = clock
        self._bird_socket = bird_socket
        self._refusal = refusal
        self._asked: dict[ResourceKey, CalicoNodeStatusSpec] = {}
        self._due: dict[ResourceKey, float] = {}
        self._wake = asyncio.Event()
        self._problems: dict[ResourceKey, str] = {}
        self._log = structlog.get_logger("tortie.node_statuses")

    @property
    def problems(self) -> list[str]:
        """Answers that cannot be written now, and why."""
        return [f"{key} cannot be answered: {problem}" for key, problem in self._problems.items()]

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="requests for node statuses")
            tasks.create_task(self._answer(), name="answer node statuses")

    async def _follow(self) -> None:
        async for batch in self._stream.batches():
            for change in batch.changes:
                self._take(change)

    def _take(self, change: Change) -> None:
        """An answer that was just written comes back too, and changes nothing."""
        value, key = change.value, change.key
        if not isinstance(value, CalicoNodeStatus) or value.spec.node != self._node or not _period(value.spec):
            for table in (self._asked, self._due, self._problems):
                table.pop(key, None)
        elif value.spec != self._asked.get(key):
            self._asked[key] = value.spec
            self._due[key] = self._clock.monotonic()
            self._wake.set()

    async def _answer(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock.monotonic()
            for key in [key for key, due in self._due.items() if due <= now]:
                await self._attempt(key)
            soonest = min(self._due.values(), default=None)
            await self._pause(None if soonest is None else max(0.0, soonest - self._clock.monotonic()))

    async def _attempt(self, key: ResourceKey) -> None:
        spec = self._asked[key]
        delay = float(_period(spec))
        try:
            await self._write(key, spec)
        except StaleRevision:
            delay = 0.0
        except TortieError as error:
            delay = min(delay, RETRY_SECONDS)
            if key not in self._problems:
                self._log.warning("node_status_not_written", resource=str(key), reason=str(error))
            self._problems[key] = str(error)
        else:
            self._problems.pop(key, None)
        if key in self._asked:
            self._due[key] = self._clock.monotonic() + delay

    async def _write(self, key: ResourceKey, spec: CalicoNodeStatusSpec) -> None:
        """Raises TortieError."""
        if refusal := self._refusal():
            raise Unavailable(refusal)
        found = await self._store.get(key)
        if not isinstance(found, CalicoNodeStatus) or found.spec != spec:
            return
        speaker = await asyncio.to_thread(_look, self._bird_socket, with_routes=ROUTES in spec.classes)
        status = answer(spec.classes, speaker, self._clock.now())
        await self._store.update(msgspec.structs.replace(found, status=status))

    async def _pause(self, seconds: float | None) -> None:
        tasks: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        if seconds is not None:
            tasks.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _period(spec: CalicoNodeStatusSpec) -> int:
    """Seconds between two answers; 0 asks for none."""
    return spec.update_period_seconds or 0


def _look(socket: Path | None, *, with_routes: bool) -> Speaker | None:
    """What the daemon says now; None when it does not answer."""
    if socket is None:
        return None
    try:
        with BirdControl(socket) as control:
            found = routes(control, Question()) if with_routes else []
            return Speaker(daemon(control), tuple(sessions(control)), tuple(found))
    except (Unavailable, BirdRefused):
        return None


def make_statuses(settings: Settings, datastore: Datastore, clock: Clock, refusal: Callable[[], str]) -> NodeStatuses:
    """Those of the node that the settings are of."""
    stream = ResourceStream(datastore, (CalicoNodeStatus.kind,), clock)
    store = ResourceStore(datastore, clock, selector_problem)
    return NodeStatuses(settings.node, stream, store, clock, settings.bird_socket, refusal)
