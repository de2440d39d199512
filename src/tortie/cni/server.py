"""The agent's side of the plugin: a unix socket, one request a connection, and the spool of missed DELs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from tortie.base.errors import TortieError
from tortie.cni.errors import TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request, parse
from tortie.cni.result import SUPPORTED_VERSIONS, Attachment, check_version, failure, success

MAXIMUM_REQUEST = 1 << 20
"""Bytes; a network configuration is a few hundred."""

READ_TIMEOUT = 10.0
"""Seconds for the plugin to hand over its request."""

SPOOL_SECONDS = 10.0
"""Between two looks into the spool: a DEL may have missed the start, or have failed."""

Add = Callable[[Request], Awaitable[Attachment]]
Delete = Callable[[Request], Awaitable[None]]


class CniServer:
    """Answers the plugin with the functions given.

    Args:
        socket: path of the unix socket; the spool is the folder `cni-spool` beside it.
        add: wires a workload; raises CniError or another TortieError.
        delete: takes one away; must be idempotent and work without a namespace.
    """

    def __init__(self, socket: Path, add: Add, delete: Delete) -> None:
        self._socket = socket
        self._spool = socket.parent / "cni-spool"
        self._add = add
        self._delete = delete
        self._log = structlog.get_logger("tortie.cni")
        self._running: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._drained = asyncio.Event()
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
                await self.drain_spool()
                self._drained.set()
                if ready is not None:
                    ready.set()
                await asyncio.sleep(SPOOL_SECONDS)
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
            await self._drained.wait()
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
            async with self._lock(request):
                return 0, await self._carry_out(request)
        except CniError as error:
            return self._failed(error, version)
        except TortieError as error:
            return self._failed(CniError(TRY_AGAIN_LATER, "the request could not be carried out", str(error)), version)

    def _lock(self, request: Request) -> asyncio.Lock:
        return self._running.setdefault(request.workload, asyncio.Lock())

    async def _carry_out(self, request: Request) -> bytes:
        match request.command:
            case "ADD":
                return success(await self._add(request), request.config.cni_version)
            case "DEL":
                await self._delete(request)
                return b""
            case "CHECK":
                return b""
            case other:
                raise CniError(4, f"CNI_COMMAND {other!r} is not known", "use ADD, DEL, CHECK or VERSION")

    def _failed(self, error: CniError, version: str) -> tuple[int, bytes]:
        self._log.warning("cni_failed", code=error.code, error=str(error))
        return 1, failure(error, version)
