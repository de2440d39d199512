"""Watching packets as they are decided: a table that has them traced, for as long as somebody watches."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

import msgspec

from tortie.agent.decisions import Decision, Filter, Report
from tortie.agent.endpoint_names import endpoint_named
from tortie.agent.packets import fits, read_packet
from tortie.agent.tracer import Tracer
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.nftables.layout import workload
from tortie.dataplane.nftables.model import Source
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rules import identity_of
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.dataplane.nftables.trace_table import TraceFilter
from tortie.dataplane.nftables.tracing import Decided, Tracing
from tortie.desired.endpoints import Endpoint
from tortie.desired.policy import Direction
from tortie.netlink.monitor import LinkTable
from tortie.netlink.nftables import INET, Table
from tortie.netlink.nftables_trace import Trace

Result = TypeVar("Result")

_SLICE_SECONDS = 0.01
"""Longest time that traces take the event loop for, before everything else has its turn."""

_FOLLOW_SECONDS = 1.0
"""Between two looks whether what is to be traced is no longer the same."""

_REST = 10
"""How many times as long as it took to read all rules is waited before they are read again."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a watcher needs of the agent.

    Args:
        executor: its thread works in the node's network namespace.
    """

    target: NftablesTarget
    links: LinkTable
    reconciler: Reconciler
    executor: Executor
    clock: Clock


class Watch:
    """One watcher. The kernel undoes everything when it is closed, also when the agent is killed."""

    def __init__(self, around: Surroundings, wanted: Filter, number: int) -> None:
        self._around = around
        self._wanted = wanted
        self._number = number
        self._interface = ""
        self._tags: dict[int, bytes] = {}
        self._tables_made = around.target.tables_made
        self._read_again_at = self._follow_at = float("-inf")
        self._generation = 0
        self._tracer: Tracer | None = None
        self._tracing = Tracing(Table(INET, around.target.settings.table), self._tags.get, self._name_of)

    async def open(self) -> None:
        """Begin. Raises KernelError; LookupError when the endpoint is not on this node."""
        if self._wanted.endpoint:
            self._interface = endpoint_named(self._endpoints(), self._wanted.endpoint).interface
        self._generation = self._around.reconciler.generation
        self._traced = self._trace_filter()
        await self._read_rules()
        self._tracer = await self._in_kernel(Tracer, self._number, self._traced)

    def close(self) -> None:
        """End, and have the kernel forget it."""
        if self._tracer is not None:
            self._tracer.close()
            self._tracer = None

    async def next(self) -> list[Report]:
        """Wait a while for traces; returns what they decided, often nothing. Raises KernelError."""
        assert self._tracer is not None
        await self._follow(self._tracer)
        if not await self._tracer.wait(_FOLLOW_SECONDS):
            return []
        now, heard = self._around.clock.now(), self._tracer.hear(_SLICE_SECONDS)
        await self._learn(heard.traces)
        found = [report for trace in heard.traces if (report := self._report(trace, now))]
        if heard.lost:
            self._tracing.forget()
            found.append(Report(now, lost=True))
        return found

    async def _follow(self, tracer: Tracer) -> None:
        """Workloads and host endpoints that came meanwhile are traced as those that were there."""
        now, generation = self._around.clock.monotonic(), self._around.reconciler.generation
        if generation == self._generation or now < self._follow_at:
            return
        self._generation, self._follow_at = generation, now + _FOLLOW_SECONDS
        wanted = self._trace_filter()
        if wanted != self._traced:
            self._traced = wanted
            await self._in_kernel(tracer.replace, wanted)

    async def _learn(self, traces: Iterable[Trace]) -> None:
        """Read which rule has which handle where that is not known."""
        if self._tables_made != self._around.target.tables_made:
            self._tables_made = self._around.target.tables_made
            self._tags.clear()
        unknown = {trace.rule for trace in traces if self._is_ours(trace)} - self._tags.keys()
        if unknown:
            await self._read_rules()
            # Rules that are gone by now: a handle is never given to another.
            self._tags.update(dict.fromkeys(unknown - self._tags.keys(), b""))

    async def _read_rules(self) -> None:
        """Not often, as it reads the whole table."""
        clock = self._around.clock
        await clock.sleep(max(0.0, self._read_again_at - clock.monotonic()))
        began = clock.monotonic()
        self._tags.update({rule.handle: rule.comment for rule in await self._in_kernel(self._around.target.rules)})
        ended = clock.monotonic()
        self._read_again_at = ended + (ended - began) * _REST

    def _report(self, trace: Trace, now: float) -> Report | None:
        """None for what decides nothing, or was not asked for: other watchers have other packets traced."""
        decided = self._tracing.take(trace)
        if decided is None or (self._wanted.drops and decided.allowed):
            return None
        headers = decided.headers
        packet = read_packet(headers.protocol, headers.network, headers.transport)
        names = (self._around.links.name_of(headers.input), self._around.links.name_of(headers.output))
        if packet is None or not fits(packet, self._wanted) or (self._interface and self._interface not in names):
            return None
        interface = self._judged(decided.rule, names)
        return Report(now, interface, self._endpoint_on(interface), packet, _decision(decided))

    def _judged(self, rule: RuleName | None, names: tuple[str, str]) -> str:
        """On whose behalf: a workload that sends is behind the input, one that receives behind the output."""
        prefixes = self._around.target.settings.interface_prefixes
        order = names[::-1] if rule and rule.direction is Direction.INGRESS else names
        return next((name for name in order if name.startswith(tuple(prefixes))), order[1] or order[0])

    def _endpoint_on(self, interface: str) -> str:
        return next((str(one.id) for one in self._endpoints() if one.interface == interface), "")

    def _endpoints(self) -> Collection[Endpoint]:
        return self._around.reconciler.desired.endpoints.values()

    def _trace_filter(self) -> TraceFilter:
        wanted = self._wanted
        return TraceFilter(
            prefixes=self._around.target.settings.interface_prefixes,
            sources=_sources(self._endpoints()),
            interface=self._interface,
            source=Cidr.parse(wanted.source) if wanted.source else None,
            destination=Cidr.parse(wanted.destination) if wanted.destination else None,
            protocol=wanted.protocol,
            port=wanted.port,
            rate=wanted.rate,
            hosts=bool(self._around.reconciler.desired.host_endpoints),
        )

    def _is_ours(self, trace: Trace) -> bool:
        return bool(trace.rule) and trace.table == self._around.target.settings.table

    def _name_of(self, tag: bytes) -> RuleName | None:
        return self._around.target.rule_name(identity_of(tag))

    async def _in_kernel(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._around.executor, function, *arguments)


def watch_numbers() -> Iterator[int]:
    """A number for each watcher, to name its table."""
    return itertools.count(1)


def _sources(endpoints: Iterable[Endpoint]) -> list[Source]:
    return sorted(source for one in endpoints if one.active for source in workload(one, "", "").sources)


def _decision(decided: Decided) -> Decision:
    verdict = "Allow" if decided.allowed else "Deny"
    rule = decided.rule
    if rule is None or decided.reason:
        direction = rule.direction if rule else None
        return Decision(verdict, direction=direction, reason=decided.reason, staged=decided.staged)
    return Decision(verdict, rule.kind, rule.namespace, rule.name, rule.direction, rule.index, staged=decided.staged)
