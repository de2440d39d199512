"""What an agent answers over HTTP, and how the client hears it, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tortie.agent.client import SOCKET, ask, is_ready
from tortie.agent.http import application, listen_tcp, listen_unix, serve
from tortie.agent.metrics import registry
from tortie.agent.status import AgentReport, TargetReport
from tortie.base.errors import Unavailable

REPORT = AgentReport(
    node="n1",
    version="1",
    pid=1,
    started=2.0,
    ready=True,
    in_sync=True,
    endpoints=3,
    host_endpoints=2,
    policies=4,
    sets=5,
    routes=6,
    targets=[
        TargetReport("nftables", "programmed", operations=7, full_passes=8, drifts=2, failures=9),
        TargetReport("routes", "failing", "refused", {"10.65.0.1/32": "no interface"}),
    ],
    rejected={"Tier(x)": "malformed"},
)


class Fake:
    """An agent that says what the test wants."""

    def __init__(self) -> None:
        self.ready = True
        self.asked = 0

    async def report(self) -> AgentReport:
        self.asked += 1
        return REPORT


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Fake]:
    fake = Fake()
    listener = listen_unix(tmp_path / SOCKET)
    task = asyncio.create_task(
        serve(
            application(fake.report, lambda: fake.ready, registry(lambda: REPORT), (), lambda: ["something is wrong"]),
            [listener],
        )
    )
    yield fake
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert listener.fileno() == -1


async def get(directory: Path, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_unix_connection(directory / SOCKET)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body.decode()


async def test_liveness_and_readiness_are_answered_without_looking_at_anything(agent: Fake, tmp_path: Path) -> None:
    """A hanging BIRD must not make an agent look dead."""
    assert await get(tmp_path, "/liveness") == (200, "live\n")
    assert await get(tmp_path, "/readiness") == (200, "ready\nsomething is wrong\n")
    assert agent.asked == 0


async def test_readiness_is_503_before_everything_was_programmed(agent: Fake, tmp_path: Path) -> None:
    agent.ready = False
    assert await get(tmp_path, "/readiness") == (503, "not ready\nsomething is wrong\n")
    assert not await asyncio.to_thread(is_ready, tmp_path)
    agent.ready = True
    assert await asyncio.to_thread(is_ready, tmp_path)


async def test_the_client_reads_back_the_whole_report(agent: Fake, tmp_path: Path) -> None:
    assert msgspec.json.encode(await asyncio.to_thread(ask, tmp_path)) == msgspec.json.encode(REPORT)


async def test_other_paths_are_404(agent: Fake, tmp_path: Path) -> None:
    assert (await get(tmp_path, "/"))[0] == 404


async def test_metrics_have_our_names_and_those_that_dashboards_of_felix_use(agent: Fake, tmp_path: Path) -> None:
    status, body = await get(tmp_path, "/metrics")
    assert status == 200
    assert "process_resident_memory_bytes " in body
    lines = [line for line in body.splitlines() if not line.startswith(("#", "process_"))]
    assert lines == [
        "tortie_agent_ready 1.0",
        "tortie_datastore_in_sync 1.0",
        "tortie_endpoints_local 3.0",
        "tortie_host_endpoints_local 2.0",
        "tortie_policies_active 4.0",
        "tortie_sets_active 5.0",
        "tortie_routes_local 6.0",
        "tortie_resources_rejected 1.0",
        "tortie_paths_narrow 0.0",
        "felix_active_local_endpoints 3.0",
        "felix_active_local_policies 4.0",
        'tortie_dataplane_operations_total{target="nftables"} 7.0',
        'tortie_dataplane_operations_total{target="routes"} 0.0',
        'tortie_dataplane_full_passes_total{target="nftables"} 8.0',
        'tortie_dataplane_full_passes_total{target="routes"} 0.0',
        'tortie_dataplane_drifts_total{target="nftables"} 2.0',
        'tortie_dataplane_drifts_total{target="routes"} 0.0',
        'tortie_dataplane_failures_total{target="nftables"} 9.0',
        'tortie_dataplane_failures_total{target="routes"} 0.0',
        'tortie_dataplane_waiting_objects{target="nftables"} 0.0',
        'tortie_dataplane_waiting_objects{target="routes"} 1.0',
    ]


async def test_the_unix_socket_is_for_root_only_and_replaces_a_dead_ones(agent: Fake, tmp_path: Path) -> None:
    assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
    with listen_unix(tmp_path / SOCKET) as again:
        assert again.fileno() >= 0


def test_every_address_of_a_host_is_listened_on() -> None:
    listeners = listen_tcp("localhost", 0)
    try:
        assert all(one.getsockname()[0] in ("127.0.0.1", "::1") for one in listeners)
        assert len(listeners) == len(socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM))
    finally:
        for one in listeners:
            one.close()


def test_a_taken_port_leaves_no_socket_behind() -> None:
    (first, *others) = listen_tcp("127.0.0.1", 0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="in use"):
        listen_tcp("127.0.0.1", first.getsockname()[1])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    for one in (first, *others):
        one.close()


def test_where_no_agent_is_the_client_says_so(tmp_path: Path) -> None:
    assert not is_ready(tmp_path)
    with pytest.raises(Unavailable, match="is tortie-agent running"):
        ask(tmp_path)


async def test_what_is_no_agent_of_this_version_is_unavailable_too(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"node": "n1"}')
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / SOCKET):
        with pytest.raises(Unavailable, match="of this version"):
            await asyncio.to_thread(ask, tmp_path)


async def test_what_speaks_no_http_is_unavailable_too(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / SOCKET):
        with pytest.raises(Unavailable):
            await asyncio.to_thread(ask, tmp_path)
