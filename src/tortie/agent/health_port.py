"""The TCP port of health, status and metrics; it may move while the agent runs."""

from __future__ import annotations

import asyncio
import socket

import structlog
from starlette.applications import Starlette

from tortie.agent.http import listen_tcp, serve


class HealthPort:
    """Serves for the life of an agent; port 0 serves nobody."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._app = app
        self._place = host, port
        self._moved = asyncio.Event()
        self._log = structlog.get_logger("tortie.health")

    def move(self, host: str, port: int) -> None:
        """Serve there from now on."""
        if self._place != (host, port):
            self._place = host, port
            self._moved.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._moved.clear()
            tasks = [asyncio.create_task(self._moved.wait()), *self._serving()]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    def _serving(self) -> list[asyncio.Task[None]]:
        listeners = self._listen()
        return [asyncio.create_task(serve(self._app, listeners))] if listeners else []

    def _listen(self) -> list[socket.socket]:
        host, port = self._place
        if not port:
            return []
        try:
            return listen_tcp(host, port)
        except OSError as error:
            self._log.error("health_port_not_served", host=host, port=port, error=str(error))
            return []
