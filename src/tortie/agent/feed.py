"""From the datastore's changes to the reconciler's deltas: the calculation's place in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from tortie.api.ipam import IPAMConfig, IPAMHandle
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.clock import Clock
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.datastore.stream import Change, ResourceStream, StreamBatch
from tortie.desired.endpoints import EndpointId

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
        self._revisions: dict[EndpointId, int] = {}
        self._news = asyncio.Condition()
        self.synchronised = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        async for batch in self._stream.batches():
            await self._take(batch)

    async def programmed(self, identity: EndpointId, revision: int) -> None:
        """Return when an endpoint of this node is filtered, routed and reachable as it was written at a revision."""
        async with self._news:
            await self._news.wait_for(lambda: self._revisions.get(identity, 0) >= revision)
        await self._reconciler.wait_applied(self._reconciler.generation, _TARGETS_OF_AN_ENDPOINT)
        while self._waits(identity):
            # The interface exists; only the kernel's word of it is still on its way.
            await self._clock.sleep(0.002)

    async def _take(self, batch: StreamBatch) -> None:
        await self._update(batch.changes)
        first = batch.in_sync and not self.synchronised.is_set()
        if first:
            self._calculation.set_in_sync()
        delta = self._calculation.flush()
        if delta or first:
            self._reconciler.update(delta)
        await self._tell(batch.changes)
        if first:
            self._reconciler.start()
            self.synchronised.set()
            self._log.info("datastore_in_sync", endpoints=len(self._revisions))

    async def _update(self, changes: Sequence[Change]) -> None:
        slice_ends = self._clock.monotonic() + SLICE_SECONDS
        for change in changes:
            value = change.value
            assert not isinstance(value, IPAMHandle | IPAMConfig), "not watched"
            self._calculation.update(change.key, value)
            if self._clock.monotonic() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = self._clock.monotonic() + SLICE_SECONDS

    async def _tell(self, changes: Sequence[Change]) -> None:
        """Note which revision of each endpoint of this node the reconciler has been told of."""
        async with self._news:
            for change in changes:
                identity = EndpointId(change.key.namespace, change.key.name)
                match change.value:
                    case WorkloadEndpoint(metadata=metadata, spec=spec) if spec.node == self._calculation.node:
                        self._revisions[identity] = int(metadata.resource_version)
                    case _ if change.key.kind == "WorkloadEndpoint":
                        self._revisions.pop(identity, None)
            self._news.notify_all()

    def _waits(self, identity: EndpointId) -> bool:
        endpoint = self._reconciler.desired.endpoints.get(identity)
        if endpoint is None:
            return True
        objects = {str(identity), *map(str, endpoint.addresses)}
        return any(not objects.isdisjoint(target.waiting) for target in self._reconciler.status())
