"""The agent's side of the plugin: a unix socket, one request a connection, and the spool of missed DELs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from tortie.base.errors import TortieError, Unavailable
from tortie.base.files import write_atomically
from tortie.cni.errors import TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request, parse
from tortie.cni.result import SUPPORTED_VERSIONS, Attachment, check_version, failure, success

MAXIMUM_REQUEST = 1 << 20
"""Bytes; a network configuration is a few hundred."""

READ_TIMEOUT = 10.0
"""Seconds for the plugin to hand over its request."""

SPOOL_SECONDS = 10.0
"""Between two looks into the spool: a DEL may have missed the start, or have failed."""

LOOK_AGAIN_SECONDS = 0.2
"""Between two looks whether anything can be carried out again."""

Add = Callable[[Request], Awaitable[Attachment]]
Delete = Callable[[Request], Awaitable[None]]
Closed = Callable[[], str]


def _never_closed() -> str:
    return ""


class CniServer:
    """Answers the plugin with the functions given.

    Args:
        socket: path of the unix socket; the spool is the folder `cni-spool` beside it.
        add: wires a workload; raises CniError or another TortieError.
        delete: takes one away; must be idempotent and work without a namespace.
        closed: why nothing can be carried out now, empty when it can. Meanwhile ADD is to be tried again, and
            DEL is kept in the spool.
    """

    def __init__(self, socket: Path, add: Add, delete: Delete, closed: Closed = _never_closed) -> None:
        self._socket = socket
        self._spool = socket.parent / "cni-spool"
        self._add = add
        self._delete = delete
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
        server = await asyncio.start_unix_server(self._accept, self._socket, limit=MAXIMUM_REQUEST)
        self._socket.chmod(0o600)
        try:
            while True:
                self._kept.clear()
                is_closed = bool(self._closed())
                if not is_closed:
                    await self.drain_spool()
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

    async def drain_spool(self) -> None:
        """Carry out the DELs that came while no agent was there; what fails stays for the next time."""
        if not self._spool.is_dir():
            return
        for file in sorted(self._spool.iterdir()):
            if file.name.startswith("."):
                continue
            try:
                request = parse(file.read_bytes())
                async with self._lock(request):
                    await self._delete(request)
            except CniError as error:
                if error.code == TRY_AGAIN_LATER:
                    self._log.warning("cni_spool_failed", file=file.name, error=str(error))
                    continue
                self._log.warning("cni_spool_unreadable", file=file.name, error=str(error))
            except TortieError as error:
                self._log.warning("cni_spool_failed", file=file.name, error=str(error))
                continue
            file.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                data = await reader.read(-1)
            status, body = await self._answer(data)
            writer.write(b"%d\n" % status + body + b"\n")
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
            check_version(version)
            if request.command == "DEL":
                return 0, await self._delete_or_keep(request, data)
            if reason := self._closed():
                raise CniError(TRY_AGAIN_LATER, "no workload can be attached now", reason)
            await self._drained.wait()
            async with self._lock(request):
                return 0, await self._carry_out(request)
        except CniError as error:
            return self._failed(error, version)
        except TortieError as error:
            return self._failed(CniError(TRY_AGAIN_LATER, "the request could not be carried out", str(error)), version)

    def _lock(self, request: Request) -> asyncio.Lock:
        return self._running.setdefault(request.workload, asyncio.Lock())

    async def _delete_or_keep(self, request: Request, data: bytes) -> bytes:
        """What the datastore cannot be told now it is told later; the runtime need not wait for that."""
        reason = self._closed()
        if not reason:
            await self._drained.wait()
            try:
                async with self._lock(request):
                    await self._delete(request)
            except Unavailable as error:
                reason = str(error)
        if reason:
            await asyncio.to_thread(self._keep, request, data)
            self._kept.set()
            self._log.warning("cni_delete_kept", container=request.container_id, reason=reason)
        return b""

    def _keep(self, request: Request, data: bytes) -> None:
        """As the plugin does when nobody answers."""
        try:
            self._spool.mkdir(mode=0o700, exist_ok=True)
            write_atomically(self._spool / f"{request.container_id}-{request.interface}", data, sync=True)
        except OSError as error:
            raise CniError(TRY_AGAIN_LATER, "the request could not be kept for later", str(error)) from error

    async def _carry_out(self, request: Request) -> bytes:
        match request.command:
            case "ADD":
                return success(await self._add(request), request.config.cni_version)
            case "CHECK":
                return b""
            case other:
                raise CniError(4, f"CNI_COMMAND {other!r} is not known", "use ADD, DEL, CHECK or VERSION")

    def _failed(self, error: CniError, version: str) -> tuple[int, bytes]:
        self._log.warning("cni_failed", code=error.code, error=str(error))
        return 1, failure(error, version)
