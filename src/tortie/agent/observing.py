"""What people can watch of an agent's packet filter: figures of every rule, and packets as they are decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tortie.agent.client import HITS
from tortie.agent.counting import end_hits, policy_hits
from tortie.agent.dataplane import Dataplane
from tortie.agent.decisions import MONITOR, Filter
from tortie.agent.endpoint_names import endpoint_named
from tortie.agent.hits import HitsReport
from tortie.agent.monitor import Surroundings, Watch
from tortie.agent.packet_stream import PacketStream
from tortie.base.clock import Clock
from tortie.base.errors import KernelError
from tortie.dataplane.loop import Reconciler
from tortie.desired.policy import PolicyId

_STARTING = "the agent is starting; ask again"


class Observed(msgspec.Struct, frozen=True):
    """What there is to watch.

    Args:
        order: gives all policies in the order in which packets meet them.
        executor: its thread works in the node's network namespace.
        numbers: of watchers.
    """

    node: str
    order: Callable[[], Sequence[PolicyId]]
    reconciler: Reconciler
    dataplane: Dataplane
    executor: Executor
    clock: Clock
    numbers: Iterator[int]

    async def hits(self, endpoint: str = "") -> HitsReport:
        """What rules counted; of the policies of one endpoint only, if it is given.

        Raises:
            LookupError: no such endpoint is on the node.
            KernelError: the counters cannot be read.
        """
        desired = self.reconciler.desired
        only = str(endpoint_named(desired.endpoints.values(), endpoint).id) if endpoint else ""
        target = self.dataplane.filter
        counts = await asyncio.get_running_loop().run_in_executor(self.executor, target.counters)
        return HitsReport(
            node=self.node,
            since=target.counting_since,
            policies=policy_hits(desired, self.order(), counts, only),
            ends=end_hits(counts, target.rule_name),
        )

    def watch(self, wanted: Filter) -> Watch:
        """A watcher, not yet begun."""
        around = Surroundings(self.dataplane.filter, self.dataplane.links, self.reconciler, self.executor, self.clock)
        return Watch(around, wanted, next(self.numbers))


def watching_routes(observed: Callable[[], Observed | None]) -> list[Route]:
    """Routes of the status socket; 503 while the agent is starting."""

    async def hits(request: Request) -> Response:
        now = observed()
        if now is None:
            return PlainTextResponse(_STARTING, 503)
        try:
            report = await now.hits(request.query_params.get("endpoint", ""))
        except LookupError as error:
            return PlainTextResponse(str(error.args[0]), 404)
        except KernelError as error:
            return PlainTextResponse(str(error), 500)
        return Response(msgspec.json.encode(report), media_type="application/json")

    async def monitor(request: Request) -> Response:
        now = observed()
        if now is None:
            return PlainTextResponse(_STARTING, 503)
        try:
            wanted = msgspec.json.decode(request.query_params.get("filter", "{}"), type=Filter)
            watch = now.watch(wanted)
            await watch.open()
        except ValueError as error:
            return PlainTextResponse(f"what to watch cannot be read: {error}", 400)
        except LookupError as error:
            return PlainTextResponse(str(error.args[0]), 404)
        except KernelError as error:
            return PlainTextResponse(str(error), 500)
        return PacketStream(watch, now.clock.now())

    return [Route(HITS, hits), Route(MONITOR, monitor)]
