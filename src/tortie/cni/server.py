"""The agent's side of the plugin: a unix socket, one request a connection, and the spool of missed DELs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from tortie.base.errors import TortieError, Unavailable
from tortie.cni.errors import INVALID_ENVIRONMENT, NOT_AVAILABLE, TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request, parse
from tortie.cni.result import SUPPORTED_VERSIONS, Attachment, check_version, failure, success
from tortie.cni.spool import Spool, spool_directory

MAXIMUM_REQUEST = 1 << 20
"""Bytes; a network configuration is a few hundred, and one of GC names every container of a host."""

READ_TIMEOUT = 10.0
"""Seconds for the plugin to hand over its request."""

SPOOL_SECONDS = 10.0
"""Between two looks into the spool: a DEL may have missed the start, or have failed."""

LOOK_AGAIN_SECONDS = 0.2
"""Between two looks whether anything can be carried out again."""


class Verbs(Protocol):
    """What the commands of the specification mean. Each raises CniError or another TortieError."""

    async def add(self, request: Request) -> Attachment:
        """Wire a workload."""

    async def delete(self, request: Request) -> None:
        """Take one away; idempotent, and without a namespace too."""

    async def check(self, request: Request) -> None:
        """Raise when a workload is no longer as it was wired."""

    async def status(self, request: Request) -> None:
        """Raise when no workload could be wired now."""

    async def stale(self, request: Request) -> Sequence[Request]:
        """For GC: DELs of all that the network of the request has here and its runtime knows no longer."""


def _never_closed() -> str:
    return ""


class CniServer:
    """Answers the plugin.

    Args:
        socket: path of the unix socket.
        verbs: carry requests out.
        closed: why nothing can be carried out now, empty when it can. Meanwhile ADD is to be tried again, and
            DEL is kept in the spool.
    """

    def __init__(self, socket: Path, verbs: Verbs, closed: Callable[[], str] = _never_closed) -> None:
        self._socket = socket
        self._spool = Spool(spool_directory(socket))
        self._verbs = verbs
        self._closed = closed
        self._log = structlog.get_logger("tortie.cni")
        self._running: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._drained = asyncio.Event()
        self._kept = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled. Requests wait until the spool has been carried out."""
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        # Listening comes first: a DEL that finds no listener is spooled, and would miss the look into the spool.
        server = await asyncio.start_unix_server(self._accept, self._socket, limit=MAXIMUM_REQUEST, backlog=1000)
        self._socket.chmod(0o600)
        try:
            while True:
                self._kept.clear()
                is_closed = bool(self._closed())
                if not is_closed:
                    await self._spool.drain(self._delete)
                    self._drained.set()
                    if ready is not None:
                        ready.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_SECONDS if is_closed else SPOOL_SECONDS):
                        await self._kept.wait()
        finally:
            server.close()
            await self._abandon()

    async def _abandon(self) -> None:
        """End the requests under way; a plugin without an answer spools its DEL, and fails its ADD."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="cni request")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                data = await reader.read(-1)
            status, body = await self._answer(data)
            writer.write(b"%d\n" % status + body + (b"\n" if body else b""))
            await writer.drain()
        except (ConnectionError, TimeoutError) as error:
            self._log.warning("cni_connection_lost", error=str(error))
        finally:
            writer.close()

    async def _answer(self, data: bytes) -> tuple[int, bytes]:
        version = SUPPORTED_VERSIONS[-1]
        try:
            request = parse(data)
            version = request.config.cni_version
            check_version(version, request.command)
            return 0, await self._carry_out(request, data)
        except CniError as error:
            return self._failed(error, version)
        except TortieError as error:
            return self._failed(CniError(TRY_AGAIN_LATER, "the request could not be carried out", str(error)), version)

    async def _carry_out(self, request: Request, data: bytes) -> bytes:
        match request.command:
            case "ADD":
                await self._until_open(TRY_AGAIN_LATER)
                async with self._lock(request):
                    return success(await self._verbs.add(request), request.config.cni_version)
            case "DEL":
                await self._delete_or_keep(request, data)
            case "CHECK":
                await self._until_open(TRY_AGAIN_LATER)
                async with self._lock(request):
                    await self._verbs.check(request)
            case "STATUS":
                await self._until_open(NOT_AVAILABLE)
                await self._verbs.status(request)
            case "GC":
                await self._until_open(TRY_AGAIN_LATER)
                await self._collect(request)
            case other:
                known = "use ADD, DEL, CHECK, GC, STATUS or VERSION"
                raise CniError(INVALID_ENVIRONMENT, f"CNI_COMMAND {other!r} is not known", known)
        return b""

    async def _until_open(self, code: int) -> None:
        if reason := self._closed():
            raise CniError(code, "no workload can be attached now", reason)
        await self._drained.wait()

    def _lock(self, request: Request) -> asyncio.Lock:
        return self._running.setdefault(request.workload, asyncio.Lock())

    async def _delete(self, request: Request) -> None:
        async with self._lock(request):
            await self._verbs.delete(request)

    async def _collect(self, request: Request) -> None:
        """Each failure leaves the others alone; the first is told."""
        failures: list[TortieError] = []
        for one in await self._verbs.stale(request):
            self._log.info("cni_collected", container=one.container_id, interface=one.interface)
            try:
                await self._delete(one)
            except TortieError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _delete_or_keep(self, request: Request, data: bytes) -> None:
        """What the datastore cannot be told now it is told later; the runtime need not wait for that."""
        reason = self._closed()
        if not reason:
            await self._drained.wait()
            try:
                await self._delete(request)
            except Unavailable as error:
                reason = str(error)
        if reason:
            await asyncio.to_thread(self._spool.keep, request, data)
            self._kept.set()
            self._log.warning("cni_delete_kept", container=request.container_id, reason=reason)

    def _failed(self, error: CniError, version: str) -> tuple[int, bytes]:
        self._log.warning("cni_failed", code=error.code, error=str(error))
        return 1, failure(error, version)
