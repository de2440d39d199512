"""Health, status and metrics over HTTP, on a unix socket and on a TCP port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tortie.agent.status import AgentReport


class _Server(uvicorn.Server):
    """Leaves signals to the process that it runs in, and rests while nobody asks."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await asyncio.Event().wait()


def application(
    report: Callable[[], Awaitable[AgentReport]],
    ready: Callable[[], bool],
    registry: CollectorRegistry,
    more: Sequence[Route] = (),
    reasons: Callable[[], Sequence[str]] = tuple,
) -> Starlette:
    """The routes: /liveness, /readiness (503 until everything was programmed once), /status, /metrics, and more."""

    async def liveness(_: Request) -> Response:
        return PlainTextResponse("live\n")

    async def readiness(_: Request) -> Response:
        lines = "".join(f"{line}\n" for line in ("ready" if ready() else "not ready", *reasons()))
        return PlainTextResponse(lines, 200 if ready() else 503)

    async def status(_: Request) -> Response:
        return Response(msgspec.json.encode(await report()), media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/liveness", liveness),
            Route("/readiness", readiness),
            Route("/status", status),
            Route("/metrics", metrics),
            *more,
        ]
    )


async def serve(app: Starlette, sockets: list[socket.socket]) -> None:
    """Answer on the sockets until cancelled, which closes them and every connection."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", date_header=False)
    server = _Server(config)
    try:
        await server.serve(sockets=sockets)
    finally:
        server.force_exit = True
        if server.started:
            await server.shutdown()
        for one in sockets:
            one.close()


def listen_unix(path: Path) -> socket.socket:
    """A listening unix socket that only root may use; an old one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(64)
    return listener


def listen_tcp(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of `host`. Raises OSError."""
    listeners = []
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(64)
        listeners.append(listener)
    return listeners
