"""What must still work after a change on trial: connections of this host, made anew, and people's own commands."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from tortie.base.errors import Unavailable
from tortie.datastore.location import Location
from tortie.datastore.open import open_datastore
from tortie.datastore.pending import PENDING_ROOT

RESOLVERS = Path("/etc/resolv.conf")
DNS_PORT = 53
DNS_SECONDS = 2.0
SSH_PORT = 22
SSH_SECONDS = 2.0
DATASTORE = "the datastore, by a new connection"

_QUERY = bytes.fromhex("7454 0100 0001 0000 0000 0000 00 0002 0001")
"""A question for the name servers of the root (RFC 1035, section 4.1): whatever answers it, answers."""


class Probes:
    """What is asked before a change and after it.

    Args:
        commands: of the user, for the shell.
        resolvers: file that names the name servers.
        session: what sshd says of the present session (`SSH_CONNECTION`); the environment's, if None.
    """

    def __init__(
        self, location: Location, commands: Sequence[str], resolvers: Path = RESOLVERS, session: str | None = None
    ) -> None:
        self._location = location
        self._commands = commands
        self._resolvers = resolvers
        self._session = os.environ.get("SSH_CONNECTION", "") if session is None else session

    async def built_in(self) -> set[str]:
        """What is reached from here."""
        asked = {DATASTORE: self._datastore()}
        asked |= {f"the name server {server}": answers_dns(server) for server in name_servers(self._resolvers)}
        if peer := ssh_peer(self._session):
            asked[f"the other end of this SSH session, {peer}"] = answers_tcp(peer)
        answers = await asyncio.gather(*asked.values())
        return {name for name, answered in zip(asked, answers, strict=True) if answered}

    async def checks(self) -> list[str]:
        """Which of the user's commands failed."""
        return [problem for command in self._commands if (problem := await _failure(command))]

    async def _datastore(self) -> bool:
        try:
            datastore = await open_datastore(self._location)
            try:
                await datastore.get(PENDING_ROOT)
            finally:
                await datastore.close()
        except Unavailable:
            return False
        return True


def name_servers(file: Path) -> Iterator[str]:
    """Addresses that a resolver's file names (resolv.conf(5))."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for words in map(str.split, lines):
        if len(words) > 1 and words[0] == "nameserver":
            try:
                yield str(ipaddress.ip_address(words[1].partition("%")[0]))
            except ValueError:
                continue


def ssh_peer(session: str) -> str:
    """Where a session comes from (sshd(8): SSH_CONNECTION), its interface included; nothing if nowhere."""
    return session.partition(" ")[0]


async def answers_tcp(host: str, port: int = SSH_PORT, seconds: float = SSH_SECONDS) -> bool:
    """Whether a host answers a new connection, be it by refusing it."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    except OSError:  # a timeout too
        return False
    writer.close()
    return True


async def answers_dns(server: str, port: int = DNS_PORT, seconds: float = DNS_SECONDS) -> bool:
    """Whether a name server answers at all, be it with an error."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_connect(probe, (server, port))
                await loop.sock_sendall(probe, _QUERY)
                return (await loop.sock_recv(probe, 512))[:2] == _QUERY[:2]
        except OSError:  # a timeout too
            return False


async def _failure(command: str) -> str:
    process = await asyncio.create_subprocess_shell(command)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    return f"check failed with status {status}: {command}" if status else ""
