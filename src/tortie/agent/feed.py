"""From the datastore's changes to the reconciler's deltas: the calculation's place in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from tortie.agent.consent import Consent
from tortie.agent.delays import Delays
from tortie.api.ipam import IPAMConfig, IPAMHandle
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.clock import Clock
from tortie.base.turns import Turns
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.datastore.reading import INFORMATION
from tortie.datastore.stream import Change, ResourceStream
from tortie.desired.delta import Delta
from tortie.desired.endpoints import EndpointId

_TARGETS_OF_AN_ENDPOINT = ("nftables", "routes", "interfaces")


def _nobody(_: Delta) -> None:
    pass


def _nothing() -> None:
    pass


def _as_it_is(delta: Delta) -> Delta:
    return delta


class Feed:
    """Runs the calculation on what the datastore says and hands its deltas on.

    While the datastore is locked the calculation goes on, but nobody is told: the kernel stays as it is.

    Args:
        stream: ordered changes with an in-sync mark.
        calculation: this node's.
        reconciler: told to start when the datastore is in sync, and not locked.
        consent: whether the datastore lets us work.
        told: hears of every delta that the reconciler is told.
        shape: changes every delta before anybody is told.
        delays: measures how long changes take.
        handed: hears whenever all that was read has been handed on.
    """

    def __init__(
        self,
        stream: ResourceStream,
        calculation: Calculation,
        reconciler: Reconciler,
        consent: Consent,
        clock: Clock,
        told: Callable[[Delta], None] = _nobody,
        shape: Callable[[Delta], Delta] = _as_it_is,
        delays: Delays | None = None,
        handed: Callable[[], None] = _nothing,
    ) -> None:
        self._handed = handed
        self._stream = stream
        self._calculation = calculation
        self._reconciler = reconciler
        self._consent = consent
        self._clock = clock
        self._turns = Turns(clock)
        self._told = told
        self._shape = shape
        self._delays = delays
        self._heard: float | None = None
        self._began = clock.monotonic()
        self._log = structlog.get_logger("tortie.feed")
        self._listings = 0
        self._refusal = ""
        self._is_read_again = False
        self._untold: dict[EndpointId, int] = {}
        self._revisions: dict[EndpointId, int] = {}
        self._news = asyncio.Condition()
        self.synchronised = asyncio.Event()

    @property
    def refusal(self) -> str:
        """Why the datastore lets nobody work; empty when it does."""
        return self._refusal

    @property
    def closed(self) -> str:
        """Why nothing new can be carried out now; empty when it can."""
        if outage := self._stream.outage:
            return f"the datastore does not answer: {outage}"
        if self._refusal:
            return self._refusal
        return "" if self.synchronised.is_set() else "the datastore has not been read yet"

    @property
    def endpoints(self) -> list[EndpointId]:
        """Those of this node."""
        return [identity for identity, revision in self._revisions.items() if revision]

    async def run(self) -> None:
        """Work until cancelled."""
        async for batch in self._stream.batches():
            self._heard = self._clock.monotonic() if self._heard is None else self._heard
            await self._update(batch.changes)
            if batch.in_sync and await self._is_allowed():
                await self._hand_on()

    async def programmed(self, identity: EndpointId, revision: int) -> None:
        """Return when an endpoint of this node is filtered, routed and reachable as it was written at a revision."""
        async with self._news:
            await self._news.wait_for(lambda: self._revisions.get(identity, 0) >= revision)
        await self._reconciler.wait_applied(self._reconciler.generation, _TARGETS_OF_AN_ENDPOINT)
        while self._waits(identity):
            # The interface exists; only the kernel's word of it is still on its way.
            await self._clock.sleep(0.002)

    def hindrance(self, identity: EndpointId) -> str:
        """What keeps an endpoint from being programmed, in words; empty when nothing is known of."""
        if self.closed:
            return self.closed
        concerned = [one for one in self._reconciler.status() if one.name in _TARGETS_OF_AN_ENDPOINT]
        failing = [f"{one.name} cannot be programmed: {one.failing}" for one in concerned if one.failing]
        objects = self._objects(identity)
        waiting = [f"{name}: {reason}" for one in concerned for name, reason in one.waiting.items() if name in objects]
        return "; ".join(failing or waiting)

    async def _is_allowed(self) -> bool:
        """Whether what was calculated may be carried out; says so when that changes."""
        if self._listings != self._stream.listings:
            self._listings = self._stream.listings
            await self._consent.ask()
        refusal = self._consent.refusal
        if self._refusal and not refusal and not self._is_read_again:
            # Kinds come one by one. What was brought in meanwhile is to be carried out as a whole.
            self._is_read_again = True
            self._stream.begin_again()
            return False
        if refusal != self._refusal:
            self._log.warning("datastore_refuses", reason=refusal) if refusal else self._log.info("datastore_allows")
            self._refusal = refusal
        self._is_read_again = False
        return not refusal

    async def _hand_on(self) -> None:
        first, read = not self.synchronised.is_set(), self._clock.monotonic()
        if first:
            self._calculation.set_in_sync()
        delta = self._shape(await self._calculated())
        if delta or first:
            self._hand_over(delta, first)
        self._heard = None
        self._handed()
        async with self._news:
            self._revisions.update(self._untold)
            self._untold.clear()
            self._news.notify_all()
        if first:
            self._reconciler.start()
            self.synchronised.set()
            self._log.info(
                "datastore_in_sync",
                endpoints=len(self._revisions),
                seconds_reading=round(read - self._began, 3),
                seconds_calculating=round(self._clock.monotonic() - read, 3),
            )

    def _hand_over(self, delta: Delta, first: bool) -> None:
        generation = self._reconciler.update(delta)
        self._told(delta)
        if self._delays is not None and self._heard is not None and not first:
            self._delays.began(generation, self._heard)

    async def _calculated(self) -> Delta:
        """What follows from all updates; others get their turn meanwhile."""
        steps = self._calculation.steps()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                delta: Delta = end.value
                return delta
            await self._turns.pause()

    async def _update(self, changes: Sequence[Change]) -> None:
        for change in changes:
            value = change.value
            assert not isinstance(value, IPAMHandle | IPAMConfig), "not watched"
            if change.key == INFORMATION:
                self._consent.take(value, self._stream.rejected.get(INFORMATION, "") if value is None else "")
                continue
            self._calculation.update(change.key, value)
            self._note(change)
            await self._turns.pause()

    def _note(self, change: Change) -> None:
        """Which revision of each endpoint of this node the calculation has; 0 is none any more."""
        identity = EndpointId(change.key.namespace, change.key.name)
        match change.value:
            case WorkloadEndpoint(metadata=metadata, spec=spec) if spec.node == self._calculation.node:
                self._untold[identity] = int(metadata.resource_version)
            case _ if identity in self._revisions or identity in self._untold:
                if change.key.kind == WorkloadEndpoint.kind:
                    self._untold[identity] = 0

    def _waits(self, identity: EndpointId) -> bool:
        objects = self._objects(identity)
        return not objects or any(not objects.isdisjoint(target.waiting) for target in self._reconciler.status())

    def _objects(self, identity: EndpointId) -> set[str]:
        """What targets call its parts; empty when it is not desired."""
        endpoint = self._reconciler.desired.endpoints.get(identity)
        return {str(identity), *map(str, endpoint.addresses)} if endpoint else set()
