"""Asking an agent over its unix socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from tortie.agent.decisions import MONITOR, Filter, Report
from tortie.agent.hits import HitsReport
from tortie.agent.status import AgentReport
from tortie.base.errors import Unavailable

SOCKET = "status.sock"
"""Name of the socket in an agent's run directory."""

HITS = "/policy/hits"


def is_ready(run_directory: Path) -> bool:
    """Whether an agent answers there and says that it is ready."""
    try:
        return _get(run_directory / SOCKET, "/readiness")[0] == http.client.OK
    except Unavailable:
        return False


def is_alive(run_directory: Path) -> bool:
    """Whether an agent answers there that its event loop turns."""
    try:
        return _get(run_directory / SOCKET, "/liveness")[0] == http.client.OK
    except Unavailable:
        return False


def metrics(run_directory: Path) -> str:
    """What an agent tells Prometheus. Raises Unavailable."""
    return _get(run_directory / SOCKET, "/metrics")[1].decode()


def ask(run_directory: Path) -> AgentReport:
    """The report of the agent of a run directory. Raises Unavailable."""
    path = run_directory / SOCKET
    _, body = _get(path, "/status")
    try:
        return msgspec.json.decode(body, type=AgentReport)
    except msgspec.DecodeError as error:
        raise Unavailable(f"what answers on {path} is no agent of this version: {error}") from error


def ask_hits(run_directory: Path, endpoint: str = "") -> HitsReport:
    """What rules counted on a node; for an endpoint (`namespace/name`) of its policies only. Raises Unavailable."""
    path = run_directory / SOCKET
    query = f"?{urlencode({'endpoint': endpoint})}" if endpoint else ""
    status, body = _get(path, f"{HITS}{query}")
    if status != http.client.OK:
        raise Unavailable(body.decode(errors="replace").strip() or f"{path} answers with {status}")
    try:
        return msgspec.json.decode(body, type=HitsReport)
    except msgspec.DecodeError as error:
        raise Unavailable(f"what answers on {path} is no agent of this version: {error}") from error


def monitor(run_directory: Path, wanted: Filter) -> Iterator[Report]:
    """Packets as they are decided, until the caller has enough; the first report says that watching has begun.

    Raises:
        Unavailable: no agent answers, it cannot do this, or it has ended.
    """
    path = run_directory / SOCKET
    connection = _UnixConnection(path)
    decoder = msgspec.json.Decoder(Report)
    try:
        connection.request("GET", f"{MONITOR}?{urlencode({'filter': msgspec.json.encode(wanted)})}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise Unavailable(response.read().decode(errors="replace").strip())
        connection.sock.settimeout(None)
        while line := response.readline():
            yield decoder.decode(line)
        raise Unavailable(f"the agent on {path} has ended")
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise _unanswered(path, error) from error
    finally:
        connection.close()


def _unanswered(path: Path, error: Exception) -> Unavailable:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return Unavailable(f"no agent answers on {path}: {reason}; is tortie-agent running?")


def _get(path: Path, url: str) -> tuple[int, bytes]:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", url)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _unanswered(path, error) from error
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
