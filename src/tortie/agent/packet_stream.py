"""The answer to those who watch packets: reports as lines of JSON, for as long as somebody reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tortie.agent.decisions import Report
from tortie.agent.monitor import Watch

_TYPE = "application/x-ndjson"


class PacketStream(Response):
    """Reports as lines of JSON until the watcher goes; the first line, without a packet, says that it has begun."""

    def __init__(self, watch: Watch, now: float) -> None:
        super().__init__(media_type=_TYPE)
        self._watch = watch
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette calls it."""
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", _TYPE.encode())]})
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


def _chunk(reports: Iterable[Report]) -> dict[str, object]:
    body = b"".join(msgspec.json.encode(report) + b"\n" for report in reports)
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
