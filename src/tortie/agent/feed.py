"""From the datastore's changes to the reconciler's deltas: the calculation's place in the event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import structlog

from tortie.api.ipam import IPAMConfig, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.datastore.stream import Change, ResourceStream, StreamBatch
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId

SLICE_SECONDS = 0.01
"""Longest time that the calculation takes the event loop for."""

_TARGETS_OF_AN_ENDPOINT = ("nftables", "routes", "interfaces")


class Feed:
    """Runs the calculation on what the datastore says and hands its deltas on.

    Args:
        stream: ordered changes with an in-sync mark.
        calculation: this node's.
        reconciler: told to start when the datastore is in sync.
    """

    def __init__(self, stream: ResourceStream, calculation: Calculation, reconciler: Reconciler, clock: Clock) -> None:
        self._stream = stream
        self._calculation = calculation
        self._reconciler = reconciler
        self._clock = clock
        self._log = structlog.get_logger("tortie.feed")
        self._handed_on: dict[EndpointId, tuple[Endpoint, int]] = {}
        self._news = asyncio.Condition()
        self.synchronised = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        async for batch in self._stream.batches():
            await self._take(batch)

    async def programmed(self, identity: EndpointId, addresses: tuple[Cidr, ...]) -> None:
        """Return when the endpoint is filtered, routed and reachable with exactly these addresses."""
        async with self._news:
            await self._news.wait_for(lambda: self._has(identity, addresses))
            endpoint, generation = self._handed_on[identity]
        await self._reconciler.wait_applied(generation, _TARGETS_OF_AN_ENDPOINT)
        while self._waits_for(endpoint.interface):
            # The interface exists; only the kernel's word of it is still on its way.
            await self._clock.sleep(0.002)

    async def _take(self, batch: StreamBatch) -> None:
        await self._update(batch.changes)
        first = batch.in_sync and not self.synchronised.is_set()
        if first:
            self._calculation.set_in_sync()
        delta = self._calculation.flush()
        if delta:
            await self._hand_on(delta)
        if first:
            self._reconciler.start()
            self.synchronised.set()
            # What came with the snapshot stays; the collector need not look at it again.
            gc.collect()
            gc.freeze()
            self._log.info("datastore_in_sync", endpoints=len(self._handed_on))

    async def _update(self, changes: Sequence[Change]) -> None:
        slice_ends = self._clock.monotonic() + SLICE_SECONDS
        for change in changes:
            value = change.value
            assert not isinstance(value, IPAMHandle | IPAMConfig), "not watched"
            self._calculation.update(change.key, value)
            if self._clock.monotonic() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = self._clock.monotonic() + SLICE_SECONDS

    async def _hand_on(self, delta: Delta) -> None:
        generation = self._reconciler.update(delta)
        async with self._news:
            for endpoint in delta.endpoints:
                self._handed_on[endpoint.id] = (endpoint, generation)
            for identity in delta.removed_endpoints:
                self._handed_on.pop(identity, None)
            self._news.notify_all()

    def _has(self, identity: EndpointId, addresses: tuple[Cidr, ...]) -> bool:
        found = self._handed_on.get(identity)
        return found is not None and set(found[0].addresses) == set(addresses)

    def _waits_for(self, interface: str) -> bool:
        return any(
            interface in reason or interface in name
            for target in self._reconciler.status()
            for name, reason in target.waiting.items()
        )
