"""The port of health and metrics moves while the agent runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tortie.agent.health_port import HealthPort


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def answer(port: int) -> str:
    """What is served there; empty when nobody listens."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
    except OSError:
        return ""
    return "".join(text.splitlines()[-1:])


async def until(port: int, text: str) -> None:
    async with asyncio.timeout(10):
        while await answer(port) != text:  # noqa: ASYNC110 - others would ask so
            await asyncio.sleep(0.01)


@pytest.fixture
async def health() -> AsyncIterator[tuple[HealthPort, int]]:
    port = free_port()
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("well"))])
    one = HealthPort(app, "127.0.0.1", port)
    task = asyncio.create_task(one.run())
    yield one, port
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_moves_and_closes_where_it_was(health: tuple[HealthPort, int]) -> None:
    one, old = health
    await until(old, "well")
    new = free_port()
    one.move("127.0.0.1", new)
    await until(new, "well")
    assert await answer(old) == ""
    one.move("127.0.0.1", 0)
    await until(new, "")
    one.move("127.0.0.1", old)
    await until(old, "well")


async def test_a_port_that_is_taken_is_served_by_nobody_else_and_ends_nothing(health: tuple[HealthPort, int]) -> None:
    one, old = health
    await until(old, "well")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one.move("127.0.0.1", taken.getsockname()[1])
        await until(old, "")
    one.move("127.0.0.1", old)
    await until(old, "well")
