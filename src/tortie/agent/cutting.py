"""Cutting established flows that changed policy denies: `conntrack_on_policy_change = CutMatching`.

When policy has changed in the kernel, the connections of those endpoints that it concerns are listed and judged as
if they began now. Those that are denied are forgotten, and what their ends still send is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog

from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import KernelError
from tortie.calculation.standing import Standing, affected
from tortie.calculation.standing_hosts import StandingHosts, concerns_standing_hosts
from tortie.calculation.verdict import Packet
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.nftables.cut_table import read_cut, write_cut
from tortie.dataplane.nftables.matches import PORT_PROTOCOLS
from tortie.desired.delta import Delta
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.conntrack import Connection, Tuple, connections_of, delete, list_connections
from tortie.netlink.route import device_towards
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket

Result = TypeVar("Result")
Judge = Callable[[Tuple, Tuple], bool]

KEPT_SECONDS = 1200.0
"""How long packets of a cut flow are dropped: TCP gives up after a quarter of an hour without an answer."""

_LOOK_SECONDS = 60.0
_RETRY_SECONDS = 0.5
_SLICE_SECONDS = 0.01


class Cutter:
    """Cuts for the life of an agent.

    Args:
        addresses: of the host's own interfaces.
        executor: its thread works in the node's network namespace.
        name_of: name of the interface with an index; empty when there is none.
        prefix: how names of workload interfaces begin.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        addresses: Callable[[], Mapping[str, Collection[Cidr]]],
        name_of: Callable[[int], str],
        executor: Executor,
        clock: Clock,
        prefix: str,
    ) -> None:
        self._reconciler = reconciler
        self._addresses = addresses
        self._name_of = name_of
        self._executor = executor
        self._clock = clock
        self._prefix = prefix
        self._log = structlog.get_logger("tortie.cutting")
        self._changes = Changes()
        self._is_first = True
        self._news = asyncio.Event()
        self._cut: dict[Tuple, float] = {}

    def note(self, delta: Delta) -> None:
        """The reconciler has been told this."""
        self._changes.note(delta)
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._news.wait()
        await self._retried(self._adopt)
        while True:
            self._news.clear()
            changes, self._changes = self._changes, Changes()
            await self._reconciler.wait_applied(self._reconciler.generation, ("nftables",))
            await self._retried(partial(self._look, changes))
            self._is_first = False
            await self._pause()

    async def _adopt(self) -> None:
        """What an agent before this one has cut."""
        self._cut = dict.fromkeys(await self._in_kernel(read_cut), self._clock.monotonic())

    async def _look(self, changes: Changes) -> None:
        """Raises KernelError."""
        state = self._reconciler.desired
        chosen = set(state.endpoints) if self._is_first else affected(state, changes)
        held = {address for one in chosen for address in state.endpoints[one].addresses}
        if state.host_endpoints and (self._is_first or concerns_standing_hosts(state, changes)):
            found = await self._in_kernel(list_connections)
        else:
            found = await self._in_kernel(connections_of, held) if held else []
        is_denied = await self._judge(state, [*map(forwarded, found), *self._cut])
        denied = await self._sliced(is_denied, found)
        kept = self._still_cut(is_denied)
        if denied or kept.keys() != self._cut.keys():
            now = self._clock.monotonic()
            kept |= {flow: now for one in denied if (flow := forwarded(one)).protocol in PORT_PROTOCOLS}
            await self._in_kernel(_carry_out, list(kept), denied)
            self._cut = kept
        if denied:
            self._log.info("connections_cut", count=len(denied), endpoints=len(chosen))

    async def _judge(self, state: DesiredState, flows: Collection[Tuple]) -> Judge:
        """What tells whether a flow is denied, given as its first packet was forwarded, and as it was sent."""
        own = self._own()
        standing = Standing(state, [one for held in own.values() for one in held])
        if not state.host_endpoints:
            return lambda flow, _: standing.is_denied(first_packet(flow))
        ends = {end for one in flows for end in (one.source, one.destination)}
        devices = await asyncio.get_running_loop().run_in_executor(self._executor, _devices_towards, ends)
        towards = {end: name for end, index in devices.items() if (name := self._name_of(index))}
        hosts = StandingHosts(state, own, towards)
        return lambda flow, sent: (
            standing.is_denied(first_packet(flow)) or hosts.is_denied(first_packet(flow), first_packet(sent))
        )

    def _still_cut(self, is_denied: Judge) -> dict[Tuple, float]:
        """Flows that policy allows again, whose workload is gone, or that have surely ended, are dropped no more."""
        oldest = self._clock.monotonic() - KEPT_SECONDS
        return {flow: at for flow, at in self._cut.items() if at > oldest and is_denied(flow, flow)}

    async def _sliced(self, is_denied: Judge, found: Sequence[Connection]) -> list[Connection]:
        """Those that are denied, judged without holding up everything else."""
        denied = []
        slice_ends = self._clock.monotonic() + _SLICE_SECONDS
        for one in found:
            if is_denied(forwarded(one), one.original):
                denied.append(one)
            if self._clock.monotonic() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = self._clock.monotonic() + _SLICE_SECONDS
        return denied

    def _own(self) -> dict[str, Collection[Cidr]]:
        return {name: held for name, held in self._addresses().items() if not name.startswith(self._prefix)}

    async def _pause(self) -> None:
        """Until something changes, or cut flows may be old enough."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS if self._cut else None):
                await self._news.wait()
        except TimeoutError:
            return

    async def _retried(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                return
            except KernelError as error:
                self._log.warning("cutting_failed", reason=str(error), retry_seconds=_RETRY_SECONDS)
                await self._clock.sleep(_RETRY_SECONDS)

    async def _in_kernel(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, _with_socket, function, *arguments)


def forwarded(connection: Connection) -> Tuple:
    """The first packet as policy saw it: its destination translated, its source not yet."""
    original, reply = connection.original, connection.reply
    return msgspec.structs.replace(original, destination=reply.source, destination_port=reply.source_port)


def first_packet(flow: Tuple) -> Packet:
    """For judging."""
    ports = flow.protocol in PORT_PROTOCOLS
    kind, code = flow.icmp or (None, None)
    return Packet(
        family=flow.source.family,
        protocol=flow.protocol,
        source=flow.source.address,
        destination=flow.destination.address,
        source_port=flow.source_port if ports else None,
        destination_port=flow.destination_port if ports else None,
        icmp_type=kind,
        icmp_code=code,
    )


def _devices_towards(ends: Collection[Cidr]) -> dict[Cidr, int]:
    """By which device each end is reached. Raises KernelError."""
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        return {end: device_towards(socket, end) for end in ends}


def _with_socket(function: Callable[..., Result], *arguments: Any) -> Result:
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        return function(socket, *arguments)


def _carry_out(socket: NetlinkSocket, flows: Collection[Tuple], denied: Collection[Connection]) -> None:
    # In this order nothing of a flow passes any more when it is forgotten, so nobody can begin it anew.
    write_cut(socket, flows)
    delete(socket, denied)
