"""One node's agent: watch, calculate, reconcile; and the answers to CNI, health checks and people.

When it dies, the kernel goes on routing and filtering under the last state; when it starts, it takes
over what is there and rewrites nothing that is right. Workload interfaces that it does not know stay
dropped throughout.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from random import Random
from typing import TypeVar

import structlog

from tortie import __version__
from tortie.agent.attaching import cni_server
from tortie.agent.bgp_sessions import bgp_sessions, problems_of_bird
from tortie.agent.client import SOCKET
from tortie.agent.configuration import Configuration
from tortie.agent.consent import Consent
from tortie.agent.cutting import Cutter
from tortie.agent.dataplane import Dataplane, open_dataplane
from tortie.agent.delays import Delays
from tortie.agent.echo import Echo
from tortie.agent.feed import Feed
from tortie.agent.first_look import FirstLook
from tortie.agent.health_port import HealthPort
from tortie.agent.http import application, listen_unix, serve
from tortie.agent.kept import Shelf
from tortie.agent.lock import only_agent
from tortie.agent.metrics import registry
from tortie.agent.monitor import watch_numbers
from tortie.agent.moving import Movers
from tortie.agent.moving_settings import priorities
from tortie.agent.mtus import Mtus
from tortie.agent.node_statuses import make_statuses
from tortie.agent.observing import Observed, watching_routes
from tortie.agent.parts import Parts
from tortie.agent.path_probe import PathProbe, ways_to_nodes
from tortie.agent.reporting import Reporter, Sources
from tortie.agent.settings import Settings, Values
from tortie.agent.standing_in import DatastoreBack, copy_to_go_by, make_trials, until_back
from tortie.agent.status import AgentReport, DatastoreReport, reasons
from tortie.agent.tunnels import GRACE, Encryption, TunnelAddresses
from tortie.agent.watched import WATCHED_KINDS
from tortie.agent.witness import Witness
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock, SystemClock
from tortie.base.errors import InvalidResource, KernelError, Unavailable
from tortie.bgp.status import SessionStatus
from tortie.calculation.graph import Calculation
from tortie.calculation.moving import Moves
from tortie.cni.server import CniServer
from tortie.dataplane.keeper import Schedule
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.nftables.settings import MarkBits
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.location import place_of
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.stream import ResourceStream
from tortie.ipam.allocator import Allocator
from tortie.netlink.namespace import NamespaceThread
from tortie.selector.check import selector_problem

Result = TypeVar("Result")

DRIFT_SPACING = 0.1
"""Least seconds between two repairs of one target: for so long a host stands open whose table is deleted again."""


class Agent:
    """The agent of one node. Several may run in one process, each in its own network namespace.

    Args:
        local: what this host says by itself; FelixConfigurations may say more.

    Attributes:
        configuration: the settings in force.
    """

    def __init__(self, local: Values, clock: Clock | None = None) -> None:
        self.configuration = Configuration(local)
        settings = local.settings
        self._clock = clock or SystemClock()
        self._started = self._clock.now()
        self._log = structlog.get_logger("tortie.agent", node=settings.node)
        self._look: FirstLook | None = None
        self._parts: Parts | None = None
        self._delayed = "starting"
        self._delays = Delays(self._clock)
        self.ready = asyncio.Event()

    @property
    def _settings(self) -> Settings:
        return self.configuration.settings

    async def run(self) -> None:
        """Work until cancelled, once no other agent works here. Raises what cannot be helped by waiting."""
        self._settings.run_directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            await self._retried(lambda: self._be_alone(stack))
            while await self._until_back():
                self._log.info("datastore_back")

    async def _until_back(self) -> bool:
        """Work until cancelled; or, without the datastore, until it answers again: then all begins anew."""
        listeners = self.configuration.listeners()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._serve_status(), name="status")
                tasks.create_task(self._open_and_work(), name="work")
        except* DatastoreBack:
            self.configuration.keep_listeners(listeners)
            self._parts, self._delayed = None, "starting"
            self.ready.clear()
        return True

    async def _be_alone(self, stack: ExitStack) -> None:
        """Raises Unavailable."""
        stack.enter_context(only_agent(self._settings.run_directory))

    async def _open_and_work(self) -> None:
        async with AsyncExitStack() as stack:
            kernel = stack.enter_context(NamespaceThread(self._settings.netns))
            wiring = stack.enter_context(NamespaceThread(self._settings.netns))
            dataplane = await self._retried(lambda: open_dataplane(self._settings, kernel))
            stack.push_async_callback(lambda: dataplane.close())  # noqa: PLW0108 - the one that is used then
            await self._retried(dataplane.stand_guard)
            datastore = await self._retried(lambda: open_datastore(self._settings.datastore))
            stack.push_async_callback(datastore.close)
            away, copy = None, await copy_to_go_by(Shelf(self._settings.run_directory), datastore, self._clock)
            if copy:
                away, datastore = datastore, await EmbeddedDatastore.open(copy)
                stack.push_async_callback(datastore.close)
            await self._configure(datastore)
            if self._settings.interface_prefix != dataplane.prefix:
                dataplane = await asyncio.get_running_loop().run_in_executor(kernel, dataplane.anew, self._settings)
                await self._retried(dataplane.stand_guard)
            moves = await self._retried(lambda: self._moves(dataplane, kernel))
            self._delayed = ""
            parts = self._make_parts(dataplane, datastore, kernel, moves)
            if away is not None:
                await self._stand_in(parts, dataplane, away)
            await self._retried(parts.trials.load)
            await self._work(parts, dataplane, wiring)

    async def _moves(self, dataplane: Dataplane, kernel: Executor) -> Moves:
        """With what was preferred when the last agent ended. Raises KernelError."""
        known = priorities(self._settings)
        found = await asyncio.get_running_loop().run_in_executor(kernel, dataplane.preferred, known.normal)
        return Moves(known, found)

    async def _configure(self, datastore: Datastore) -> None:
        """What can only be chosen at the start must be known before."""
        self._look = FirstLook(datastore, self._settings.node, self._clock)
        self.configuration.begin(await self._retried(self._look.layers))
        self._look = None

    def _make_parts(self, dataplane: Dataplane, datastore: Datastore, kernel: Executor, moves: Moves) -> Parts:
        trials = make_trials(self._settings, datastore, self._clock, WATCHED_KINDS)
        stream = trials.stream = ResourceStream(datastore, WATCHED_KINDS, self._clock, stand_in=trials.stand_in)
        schedule = Schedule(full_interval=self._settings.refresh_seconds, drift_spacing=DRIFT_SPACING)
        reconciler = Reconciler(dataplane.targets, kernel, self._clock, schedule)
        settings = self._settings
        calculation = Calculation(
            settings.node,
            router_id=settings.router_id,
            workload_routes=settings.route_source == "WorkloadIPs",
            configure=self.configuration,
            is_of_host=dataplane.is_of_host,
        )
        consent = Consent(datastore, self._clock, is_needed=isinstance(self._settings.datastore, EtcdSettings))
        cutter = self._make_cutter(reconciler, dataplane, kernel)
        movers = Movers(moves, reconciler, dataplane.links, kernel, self._clock)
        self.configuration.listen(movers.configure)
        reconciler.listen(movers.after_pass)
        told = {"told": cutter.note} if cutter else {}
        feed = Feed(
            stream,
            calculation,
            reconciler,
            consent,
            self._clock,
            **told,
            shape=movers.take,
            delays=self._delays,
            handed=trials.trials.handed_on,
        )
        reconciler.listen(lambda _: self._delays.after_pass(reconciler))
        observed = Observed(
            node=self._settings.node,
            order=calculation.policy_order,
            reconciler=reconciler,
            dataplane=dataplane,
            executor=kernel,
            clock=self._clock,
            numbers=watch_numbers(),
        )
        sources = Sources(stream, feed, reconciler, dataplane, self._settings.interface_prefix)
        reporter = Reporter(self._settings, datastore, sources, self._clock)
        reconciler.listen(reporter.after_pass)
        tunnels = self._make_tunnels(datastore, feed, reconciler, dataplane)
        reconciler.listen(tunnels.after_pass)
        statuses = make_statuses(settings, datastore, self._clock, lambda: feed.closed)
        paths = self._make_paths(dataplane, reconciler)
        return Parts(
            datastore,
            stream,
            calculation,
            feed,
            reconciler,
            observed,
            reporter,
            tunnels,
            movers,
            statuses,
            paths,
            trials.trials,
            cutter,
        )

    def _make_tunnels(
        self, datastore: Datastore, feed: Feed, reconciler: Reconciler, dataplane: Dataplane
    ) -> TunnelAddresses:
        def encryption() -> Encryption:
            settings = reconciler.desired.settings
            families = frozenset(settings.filter.wireguard) if settings else None
            return Encryption(families, dict(dataplane.keys))

        store = ResourceStore(datastore, self._clock, selector_problem)
        allocator = Allocator(datastore, self._clock, Random())
        return TunnelAddresses(
            self._settings.node,
            store,
            allocator,
            self._clock,
            lambda: feed.closed,
            encryption,
            GRACE,
            lambda: reconciler.desired.network.pools,
        )

    def _mtus(self, dataplane: Dataplane, reconciler: Reconciler) -> Mtus:
        return Mtus(dataplane.links, reconciler, lambda: self._settings)

    def _make_paths(self, dataplane: Dataplane, reconciler: Reconciler) -> PathProbe:
        ways = partial(ways_to_nodes, reconciler)
        needed = self._mtus(dataplane, reconciler).outer
        return PathProbe(ways, needed, self._settings.path_probe_seconds, self._clock, Random())

    async def _probe_paths(self, parts: Parts, kernel: Executor) -> None:
        mark = MarkBits.of(self._settings.nftables_mark_mask).encrypted
        echo = await self._retried(lambda: asyncio.get_running_loop().run_in_executor(kernel, Echo, mark))
        echo.listen()
        try:
            await parts.paths.run(echo)
        finally:
            echo.close()

    def _make_cutter(self, reconciler: Reconciler, dataplane: Dataplane, kernel: Executor) -> Cutter | None:
        if self._settings.conntrack_on_policy_change == "Keep":
            return None
        return Cutter(
            reconciler,
            dataplane.addresses,
            dataplane.links.name_of,
            kernel,
            self._clock,
            self._settings.interface_prefix,
        )

    async def _stand_in(self, parts: Parts, dataplane: Dataplane, away: Datastore) -> None:
        """Bring the kernel to what a copy says, and keep it there. Raises DatastoreBack, in a group."""
        self._log.warning("change_not_confirmed", reason="the datastore does not answer: going by the copy of before")
        watching = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(dataplane.watch(parts.reconciler, watching), name="watch the kernel")
            await watching.wait()
            tasks.create_task(parts.feed.run(), name="feed")
            tasks.create_task(parts.reconciler.run(), name="reconcile")
            tasks.create_task(until_back(away, self._clock), name="datastore")

    async def _work(self, parts: Parts, dataplane: Dataplane, wiring: Executor) -> None:
        self._parts = parts
        watching, serving = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(dataplane.watch(parts.reconciler, watching), name="watch the kernel")
            await watching.wait()
            tasks.create_task(parts.feed.run(), name="feed")
            tasks.create_task(parts.reconciler.run(), name="reconcile")
            if parts.cutter:
                tasks.create_task(parts.cutter.run(), name="cut flows")
            tasks.create_task(parts.movers.run(), name="move")
            tasks.create_task(parts.reporter.run(), name="report")
            tasks.create_task(self._cni_server(parts, dataplane, wiring).run(serving), name="cni")
            await parts.feed.synchronised.wait()
            tasks.create_task(parts.tunnels.run(), name="addresses of tunnels")
            tasks.create_task(parts.statuses.run(), name="node statuses")
            witness = Witness(self._settings, parts.datastore, wiring, self._clock, lambda: parts.feed.closed)
            tasks.create_task(witness.run(), name="testify")
            tasks.create_task(parts.trials.run(lambda: _programmed(parts.reconciler)), name="unconfirmed changes")
            tasks.create_task(self._probe_paths(parts, wiring), name="paths")
            tasks.create_task(parts.host.run(wiring, self._settings, self._clock), name="host")
            await self._wait_ready(parts.reconciler, serving)

    def _cni_server(self, parts: Parts, dataplane: Dataplane, wiring: Executor) -> CniServer:
        mtu = self._mtus(dataplane, parts.reconciler).workload
        return cni_server(self._settings, parts, wiring, mtu, self._clock)

    async def _wait_ready(self, reconciler: Reconciler, serving: asyncio.Event) -> None:
        """Ready is: in sync, everything programmed once (BIRD may come later), and open for workloads."""
        await _programmed(reconciler)
        await serving.wait()
        self.ready.set()
        self._log.info("agent_ready", seconds=round(self._clock.now() - self._started, 3))

    async def _serve_status(self) -> None:
        more = watching_routes(self._observed)
        app = application(
            self.report,
            self.ready.is_set,
            registry(self._report_without_bgp, self._delays.histogram),
            more,
            lambda: reasons(self._report_without_bgp()),
        )
        health = HealthPort(app, self._settings.health_host, self._settings.health_port)
        self.configuration.listen(lambda settings: health.move(settings.health_host, settings.health_port))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(health.run(), name="health")
            tasks.create_task(serve(app, [listen_unix(self._settings.run_directory / SOCKET)]), name="socket")

    def _observed(self) -> Observed | None:
        """What people can watch; None while the agent is starting."""
        return self._parts.observed if self._parts else None

    async def report(self) -> AgentReport:
        """What `tortie node status` shows."""
        found, problem = await bgp_sessions(self._settings.bird_socket)
        return self._report(found, problem)

    def _report_without_bgp(self) -> AgentReport:
        return self._report((), "")

    def _report(self, bgp: Sequence[SessionStatus], bgp_problem: str) -> AgentReport:
        known = AgentReport(
            node=self._settings.node,
            version=__version__,
            pid=os.getpid(),
            started=self._started,
            ready=self.ready.is_set(),
            bgp=bgp,
            bgp_problem=bgp_problem,
            bird_socket=str(socket) if (socket := self._settings.bird_socket) else "",
            delayed=self._outage or self._delayed,
            datastore=self._datastore_report(),
            problems=[*problems_of_bird(bgp_problem), *self.configuration.pending],
        )
        return self._parts.complete(known) if self._parts else known

    @property
    def _outage(self) -> str:
        """Why the datastore does not answer, while the agent waits for its settings."""
        return self._look.outage if self._look else ""

    def _datastore_report(self) -> DatastoreReport:
        place = place_of(self._settings.datastore)
        if outage := self._outage:
            return DatastoreReport(place, "unavailable", outage)
        return DatastoreReport(place, problem=self._delayed)

    async def _retried(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do what a missing part may delay, however long that takes."""
        backoff = Backoff(first=0.2, limit=10)
        while True:
            try:
                return await work()
            except (Unavailable, KernelError, InvalidResource) as error:
                delay = backoff.next()
                self._delayed = str(error)
                self._log.error("start_delayed", reason=str(error), retry_seconds=round(delay, 2))
                await self._clock.sleep(delay)


async def _programmed(reconciler: Reconciler) -> None:
    await reconciler.wait_applied(reconciler.generation, ("nftables", "interfaces", "routes"))
