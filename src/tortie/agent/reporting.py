"""What an agent tells others of its host and endpoints, as Felix does: which statuses, where, and only when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from tortie.agent.dataplane import Dataplane
from tortie.agent.endpoint_states import EndpointStates, Seen
from tortie.agent.feed import Feed
from tortie.agent.heartbeat import Heartbeat, Host, Pace
from tortie.agent.settings import Settings
from tortie.agent.status_places import StatusFiles, StatusKeys, file_content, file_name
from tortie.agent.status_writer import StatusWriter
from tortie.api.endpointnames import parse_workload_endpoint_name
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.dataplane.loop import Reconciler
from tortie.datastore.contract import Datastore
from tortie.datastore.statuskeys import (
    EndpointState,
    EndpointStatus,
    HostEndpointStatusKey,
    StatusKey,
    WorkloadStatusKey,
    encode_status,
    status_key,
)
from tortie.datastore.stream import ResourceStream
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.state import Changes


class Sources(msgspec.Struct, frozen=True):
    """Where the reporter learns what is so.

    Args:
        stream: tells when the datastore's history had a gap.
        feed: tells whether the datastore may be written.
        reconciler, dataplane: tell what is in the kernel.
        prefix: how names of workload interfaces begin.
    """

    stream: ResourceStream
    feed: Feed
    reconciler: Reconciler
    dataplane: Dataplane
    prefix: str

    def seen(self) -> Seen:
        """What the last pass has left."""
        kernel = self.dataplane
        return Seen(self.reconciler.desired, self.reconciler.status(), kernel.links.get, self._host_addresses)

    def _host_addresses(self) -> dict[str, frozenset[Cidr]]:
        held = self.dataplane.addresses()
        return {name: addresses for name, addresses in held.items() if not name.startswith(self.prefix)}


class Reporter:
    """Tells how this host and its endpoints are.

    It reads what the reconciler leaves behind and writes in tasks of its own, so that no place that cannot be
    written holds up anything. `after_pass` is for `Reconciler.listen`.
    """

    def __init__(self, settings: Settings, datastore: Datastore, sources: Sources, clock: Clock) -> None:
        self._host = Host(settings.openstack_region, settings.node)
        self._sources = sources
        self._clock = clock
        self._look_every = settings.refresh_seconds
        self._states = EndpointStates()
        self._listings = -1
        self._keys: StatusWriter | None = None
        self._files: StatusWriter | None = None
        self._heartbeat: Heartbeat | None = None
        if settings.endpoint_reporting_enabled:
            keys = StatusKeys(datastore, self._host.region, self._host.name, self._refusal)
            delay = settings.endpoint_reporting_delay_seconds
            self._keys = StatusWriter("statuses of endpoints", keys, clock, delay)
        if prefix := settings.endpoint_status_path_prefix:
            self._files = StatusWriter("files of endpoints", StatusFiles(prefix), clock, 0)
        if interval := settings.reporting_interval:
            pace = Pace(interval, settings.reporting_ttl_seconds)
            self._heartbeat = Heartbeat(self._host, pace, datastore, clock, self._refusal)

    @property
    def problems(self) -> list[str]:
        """What cannot be told now, and why."""
        return [one.problem for one in (*self._writers(), self._heartbeat) if one is not None and one.problem]

    def after_pass(self, changes: Changes) -> None:
        """Take in what a pass of the reconciler has done."""
        if not self._keys and not self._files:
            return
        seen = self._sources.seen()
        for identity, state in self._states.workloads(changes, seen).items():
            self._tell_workload(identity, state, seen.desired.endpoints.get(identity))
        for name, host_state in self._states.hosts(changes, seen).items():
            self._tell(HostEndpointStatusKey(self._host.name, name), host_state)
        self._look_after_gaps()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._sources.feed.synchronised.wait()
        async with asyncio.TaskGroup() as tasks:
            for writer in self._writers():
                tasks.create_task(writer.run(), name="write statuses")
            if self._heartbeat:
                tasks.create_task(self._heartbeat.run(), name="heartbeat")
            while True:
                await self._clock.sleep(self._look_every)
                self._look_after_gaps()

    def _writers(self) -> Iterator[StatusWriter]:
        yield from (writer for writer in (self._keys, self._files) if writer is not None)

    def _tell_workload(self, identity: EndpointId, state: EndpointState | None, endpoint: Endpoint | None) -> None:
        key = self._key(identity)
        if key is None:
            return
        self._tell(key, state)
        if self._files is None:
            return
        if endpoint is None:
            self._files.forget(file_name(key))
        else:
            # Who waits for the file waits for policy; an interface that goes down later takes none of that back.
            tell = self._files.want if state is EndpointState.UP else self._files.keep
            tell(file_name(key), file_content(endpoint))

    def _tell(self, key: StatusKey, state: EndpointState | None) -> None:
        if self._keys is None:
            return
        if state is None:
            self._keys.forget(status_key(key))
        else:
            self._keys.want(status_key(key), encode_status(EndpointStatus(state)))

    def _key(self, identity: EndpointId) -> WorkloadStatusKey | None:
        """None for a name that is no endpoint's: nobody could look for it."""
        parts = parse_workload_endpoint_name(identity.name)
        if parts is None:
            return None
        workload = f"{identity.namespace}/{parts.workload}"
        region, host = self._host.region, self._host.name
        return WorkloadStatusKey(region, host, parts.orchestrator, workload, parts.endpoint)

    def _look_after_gaps(self) -> None:
        """Whenever the datastore may have been set back, at the start for one, what it holds must be looked at."""
        if self._listings != self._sources.stream.listings:
            self._listings = self._sources.stream.listings
            for writer in self._writers():
                writer.look()

    def _refusal(self) -> str:
        return self._sources.feed.closed
