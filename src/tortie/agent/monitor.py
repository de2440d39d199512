"""Watching packets as they are decided: a table that has them traced, for as long as somebody watches."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tortie.agent.decisions import Decision, Filter, Report
from tortie.agent.packets import fits, read_packet
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import KernelError
from tortie.dataplane.nftables.layout import workload
from tortie.dataplane.nftables.model import Source
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rules import identity_of
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.dataplane.nftables.trace_table import TraceFilter, trace_requests, trace_table
from tortie.dataplane.nftables.tracing import Decided, Tracing
from tortie.desired.endpoints import Endpoint
from tortie.desired.policy import Direction
from tortie.desired.state import DesiredState
from tortie.netlink.monitor import LinkTable
from tortie.netlink.nftables import INET, Table
from tortie.netlink.nftables_batch import commit
from tortie.netlink.nftables_trace import TRACES, Trace, parse_trace
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.netlink.wire import TruncatedMessage

Result = TypeVar("Result")

_LEAST_SECONDS = 1.0
"""Between two readings of all rules, when traces name rules that are not known."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a watcher needs of the agent.

    Args:
        executor: its thread works in the node's network namespace.
    """

    target: NftablesTarget
    links: LinkTable
    desired: DesiredState
    executor: Executor
    clock: Clock


class Watch:
    """One watcher. The kernel undoes everything when the socket is closed, also when the agent is killed."""

    def __init__(self, around: Surroundings, wanted: Filter, number: int) -> None:
        self._around = around
        self._wanted = wanted
        self._number = number
        self._tags: dict[int, bytes] = {}
        self._read_at = float("-inf")
        self._socket: NetlinkSocket | None = None
        table = Table(INET, around.target.settings.table)
        self._tracing = Tracing(table, self._tags.get, self._name_of)

    async def open(self) -> None:
        """Begin. Raises KernelError; LookupError when the endpoint is not on this node."""
        wanted = self._trace_filter()
        await self._read_rules()
        self._socket = await self._in_kernel(_opened, self._number, wanted)
        self._socket.set_blocking(False)

    def close(self) -> None:
        """End, and have the kernel forget it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def next(self) -> list[Report]:
        """Wait for traces; returns what they decided, often nothing. Raises KernelError."""
        assert self._socket is not None
        await _readable(self._socket)
        try:
            traces = [trace for one in self._socket.receive() if (trace := parse_trace(one))]
        except KernelError as error:
            if error.errno == errno.EAGAIN:
                return []
            if error.errno != errno.ENOBUFS:
                raise
            return [Report(self._around.clock.now(), lost=True)]
        except TruncatedMessage:
            return [Report(self._around.clock.now(), lost=True)]
        if any(trace.rule not in self._tags for trace in traces if self._is_ours(trace)):
            await self._read_rules()
        return list(self._reports(traces))

    def _reports(self, traces: Iterable[Trace]) -> Iterator[Report]:
        for trace in traces:
            decided = self._tracing.take(trace)
            report = self._report(decided) if decided else None
            if report is not None:
                yield report

    def _report(self, decided: Decided) -> Report | None:
        """None for what was not asked for: other watchers have other packets traced."""
        headers = decided.headers
        packet = read_packet(headers.protocol, headers.network, headers.transport)
        names = (self._interface(headers.input), self._interface(headers.output))
        if packet is None or not fits(packet, self._wanted) or (self._wanted.drops and decided.allowed):
            return None
        if self._wanted.endpoint and self._endpoint_of(self._wanted.endpoint).interface not in names:
            return None
        interface = self._judged(decided.rule, names)
        return Report(self._around.clock.now(), interface, self._endpoint_on(interface), packet, _decision(decided))

    def _judged(self, rule: RuleName | None, names: tuple[str, str]) -> str:
        """On whose behalf: a workload that sends is behind the input, one that receives behind the output."""
        prefixes = self._around.target.settings.interface_prefixes
        order = names[::-1] if rule and rule.direction is Direction.INGRESS else names
        return next((name for name in order if name.startswith(tuple(prefixes))), order[1] or order[0])

    def _interface(self, index: int) -> str:
        return next((link.name for link in self._around.links if link.index == index), "") if index else ""

    def _endpoint_on(self, interface: str) -> str:
        endpoints = self._around.desired.endpoints.values()
        return next((str(one.id) for one in endpoints if one.interface == interface), "")

    def _endpoint_of(self, name: str) -> Endpoint:
        found = next((one for one in self._around.desired.endpoints.values() if str(one.id) == name), None)
        if found is None:
            raise LookupError(f"no workload endpoint {name} is on this node")
        return found

    def _trace_filter(self) -> TraceFilter:
        wanted, desired = self._wanted, self._around.desired
        return TraceFilter(
            prefixes=self._around.target.settings.interface_prefixes,
            sources=_sources(desired.endpoints.values()),
            interface=self._endpoint_of(wanted.endpoint).interface if wanted.endpoint else "",
            source=Cidr.parse(wanted.source) if wanted.source else None,
            destination=Cidr.parse(wanted.destination) if wanted.destination else None,
            protocol=wanted.protocol,
            port=wanted.port,
            rate=wanted.rate,
            hosts=bool(desired.host_endpoints),
        )

    def _is_ours(self, trace: Trace) -> bool:
        return bool(trace.rule) and trace.table == self._around.target.settings.table

    def _name_of(self, tag: bytes) -> RuleName | None:
        return self._around.target.rule_name(identity_of(tag))

    async def _read_rules(self) -> None:
        """Which rule has which handle; not often, as it reads the whole table."""
        now = self._around.clock.monotonic()
        if now - self._read_at < _LEAST_SECONDS:
            return
        self._read_at = now
        self._tags.update({rule.handle: rule.comment for rule in await self._in_kernel(self._around.target.rules)})

    async def _in_kernel(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._around.executor, function, *arguments)


class PacketStream(Response):
    """Reports as lines of JSON until the watcher goes; the first line, without a packet, says that it has begun."""

    def __init__(self, watch: Watch, now: float) -> None:
        super().__init__(media_type="application/x-ndjson")
        self._watch = watch
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette calls it."""
        headers = [(b"content-type", b"application/x-ndjson")]
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send(_chunk([Report(self._now)]))
            while not gone.done():
                await self._next(gone, send)
        finally:
            gone.cancel()
            self._watch.close()

    async def _next(self, gone: asyncio.Future[None], send: Send) -> None:
        more = asyncio.ensure_future(self._watch.next())
        try:
            await asyncio.wait((gone, more), return_when=asyncio.FIRST_COMPLETED)
            if more.done() and (reports := more.result()):
                await send(_chunk(reports))
        finally:
            # The loop must have forgotten the socket before it is closed: its number is soon that of another.
            more.cancel()
            await asyncio.wait((more,))


def watch_numbers() -> Iterator[int]:
    """A number for each watcher, to name its table."""
    return itertools.count(1)


def _chunk(reports: Iterable[Report]) -> dict[str, object]:
    body = b"".join(msgspec.json.encode(report) + b"\n" for report in reports)
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _readable(socket: NetlinkSocket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(socket.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(socket.fileno())


def _opened(number: int, wanted: TraceFilter) -> NetlinkSocket:
    """The socket that owns the table, and hears the traces."""
    socket = NetlinkSocket(NETLINK_NETFILTER, (TRACES,))
    try:
        commit(socket, list(trace_requests(trace_table(number), wanted)))
    except BaseException:
        socket.close()
        raise
    return socket


def _sources(endpoints: Iterable[Endpoint]) -> list[Source]:
    return [source for one in endpoints if one.active for source in workload(one, "", "").sources]


def _decision(decided: Decided) -> Decision:
    verdict = "Allow" if decided.allowed else "Deny"
    rule = decided.rule
    if rule is None or decided.reason:
        direction = rule.direction if rule else None
        return Decision(verdict, direction=direction, reason=decided.reason, staged=decided.staged)
    return Decision(verdict, rule.kind, rule.namespace, rule.name, rule.direction, rule.index, staged=decided.staged)
