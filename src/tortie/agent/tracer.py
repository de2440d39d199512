"""The kernel's side of a watcher: the table that has packets traced, and the socket that hears of them."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Sequence

import msgspec

from tortie.base.errors import KernelError
from tortie.dataplane.nftables.trace_table import TraceFilter, trace_requests, trace_table
from tortie.netlink.nftables import delete_table
from tortie.netlink.nftables_batch import commit
from tortie.netlink.nftables_trace import TRACES, Trace, parse_trace
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.netlink.wire import TruncatedMessage

BACKLOG = 8 << 20
"""Bytes of traces that may wait: a fraction of a second of what can be read, so that what is shown is never old."""


class Heard(msgspec.Struct, frozen=True):
    """What came.

    Args:
        lost: behind these traces some are missing.
    """

    traces: Sequence[Trace]
    lost: bool = False


class Tracer:
    """Open, in the network namespace of the calling thread, until `close`; the kernel undoes everything then, or when
    the process ends. `replace` is for the thread that opened it, the rest for the event loop.

    Args:
        number: of the watcher, names its table.

    Raises:
        KernelError: there is nothing to close.
    """

    def __init__(self, number: int, wanted: TraceFilter) -> None:
        self._table = trace_table(number)
        self._owner = NetlinkSocket(NETLINK_NETFILTER)
        self._traces = NetlinkSocket(NETLINK_NETFILTER, (TRACES,), buffer=BACKLOG)
        self._traces.set_blocking(False)
        self._is_overrun = False
        try:
            commit(self._owner, list(trace_requests(self._table, wanted)))
        except BaseException:
            self.close()
            raise

    def replace(self, wanted: TraceFilter) -> None:
        """Have other packets traced from now on. Raises KernelError."""
        commit(self._owner, [delete_table(self._table), *trace_requests(self._table, wanted)])

    def close(self) -> None:
        """End, and have the kernel forget it."""
        self._owner.close()
        self._traces.close()

    async def wait(self, seconds: float) -> bool:
        """Whether traces came in that time."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._traces.fileno(), ready.set)
        try:
            async with asyncio.timeout(seconds):
                await ready.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._traces.fileno())
        return True

    def hear(self, seconds: float) -> Heard:
        """Take what waits, for no longer than this. Raises KernelError."""
        found: list[Trace] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                found += [trace for one in self._traces.receive() if (trace := parse_trace(one))]
            except TruncatedMessage:
                self._is_overrun = True
            except KernelError as error:
                if error.errno == errno.EAGAIN:
                    return Heard(found, self._end_overrun())
                if error.errno != errno.ENOBUFS:
                    raise
                # From here on the kernel drops traces until all that still wait have been taken.
                self._is_overrun = True
        return Heard(found)

    def _end_overrun(self) -> bool:
        was, self._is_overrun = self._is_overrun, False
        return was
