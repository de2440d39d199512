"""Workloads on their way from host to host: what guests, links and the time say of them reaches the routes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from tortie.agent.moving_settings import MovingSettings, priorities
from tortie.base.clock import Clock
from tortie.base.errors import KernelError
from tortie.calculation.moving import Awaited, Moves
from tortie.dataplane.announcements import hears, listen
from tortie.dataplane.loop import Reconciler
from tortie.desired.delta import Delta
from tortie.desired.endpoints import EndpointId
from tortie.netlink.monitor import LinkTable


class _Ear:
    """A socket on an interface of some index, and what is called when the guest there is heard."""

    def __init__(self, index: int, mac: str, one: socket.socket, heard: Callable[[], None]) -> None:
        self.place = index, mac
        self._socket = one
        self._mac = mac
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(one, self._arrived)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _arrived(self) -> None:
        if hears(self._socket, self._mac):
            self._heard()


class Movers:
    """Puts the routes of what moves into every delta, and tells of what happens in between.

    Args:
        moves: the stage of each endpoint.
        reconciler: told of routes that guests or the time changed.
        links: of the node.
        executor: its thread works in the node's network namespace.
    """

    def __init__(
        self, moves: Moves, reconciler: Reconciler, links: LinkTable, executor: Executor, clock: Clock
    ) -> None:
        self._moves = moves
        self._reconciler = reconciler
        self._links = links
        self._executor = executor
        self._clock = clock
        self._ears: dict[EndpointId, _Ear] = {}
        self._news = asyncio.Event()
        self._log = structlog.get_logger("tortie.moving")

    def take(self, delta: Delta) -> Delta:
        """A delta of the calculation, with the routes that it has here."""
        before = self._moves.stages
        shaped = self._moves.take(delta, self._clock.monotonic())
        self._noted(before)
        return shaped

    def after_pass(self, _: object) -> None:
        """Interfaces may have come or gone."""
        if self._moves.awaited or self._ears:
            self._news.set()

    def configure(self, settings: MovingSettings) -> None:
        """The settings changed."""
        self._tell(self._moves.configure(priorities(settings)))

    @property
    def stages(self) -> dict[str, str]:
        """Endpoints that move, and how far they are."""
        return {str(one): stage.value for one, stage in sorted(self._moves.stages.items())}

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._news.clear()
                await self._listen()
                await self._wait()
                if self._moves.due <= self._clock.monotonic():
                    self._happened(lambda: self._moves.elapsed(self._clock.monotonic()))
        finally:
            for one in list(self._ears):
                self._ears.pop(one).close()

    async def _wait(self) -> None:
        """Until there is news, or it is time."""
        due = self._moves.due
        delay = None if due == float("inf") else max(0.0, due - self._clock.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._news.wait()

    async def _listen(self) -> None:
        """Have an ear at every interface whose guest is waited for, and at no other."""
        awaited = self._moves.awaited
        places = {
            one: (link.index, guest.mac) for one, guest in awaited.items() if (link := self._links.get(guest.interface))
        }
        for one in [one for one, ear in self._ears.items() if places.get(one) != ear.place]:
            self._ears.pop(one).close()
        for one in places.keys() - self._ears.keys():
            await self._open(one, awaited[one], places[one][0])

    async def _open(self, one: EndpointId, guest: Awaited, index: int) -> None:
        try:
            opened = await asyncio.get_running_loop().run_in_executor(self._executor, listen, guest.interface)
        except KernelError as error:
            # An interface that vanished meanwhile is reported by an event.
            self._log.warning("guest_not_heard", endpoint=str(one), reason=str(error))
            return
        self._ears[one] = _Ear(index, guest.mac, opened, lambda: self._announced(one))

    def _announced(self, one: EndpointId) -> None:
        self._happened(lambda: self._moves.announced(one, self._clock.monotonic()))

    def _happened(self, what: Callable[[], Delta]) -> None:
        before = self._moves.stages
        self._tell(what())
        self._noted(before)

    def _tell(self, delta: Delta) -> None:
        if delta:
            self._reconciler.update(delta)

    def _noted(self, before: object) -> None:
        after = self._moves.stages
        if after != before:
            self._log.info("workloads_moving", stages=self.stages)
            self._news.set()
