"""An etcd cluster of real processes, whose members can be started, killed, paused, and cut off from each other."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tortie.base.errors import Unavailable, Unsupported
from tortie.lab import processes
from tortie.lab.processes import Process
from tortie.netlink.namespace import inside

PROGRAM = "etcd"
CLIENT_PORT, PEER_PORT = 2379, 2380

_START_SECONDS = 30.0
_STATUS_SECONDS = 1.0
_POLL_SECONDS = 0.03
_LAST_LINES = 12
_HEARTBEAT_MILLISECONDS, _ELECTION_MILLISECONDS = 50, 500
_PEERS_TABLE, _CLIENTS_TABLE = "inet tt_cut_off_peers", "inet tt_cut_off_clients"


class Member(msgspec.Struct, frozen=True):
    """One server of a cluster.

    Args:
        address: IPv4 address on which it serves clients and its peers.
        namespace: path of the network namespace that it runs in; None is the caller's own.
    """

    name: str
    address: str
    client_port: int = CLIENT_PORT
    peer_port: int = PEER_PORT
    namespace: Path | None = None

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://{self.address}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where the other members reach it."""
        return f"http://{self.address}:{self.peer_port}"


class _Status(msgspec.Struct, frozen=True):
    number: int
    leader: int
    revision: int


class EtcdCluster:
    """Members on one machine; data and logs are in a folder for each, and outlive the processes.

    Args:
        directory: where the members' folders are made.
        program: path of etcd.
        options: more arguments for every member.
    """

    def __init__(
        self, directory: Path, members: Sequence[Member], program: str = PROGRAM, options: Sequence[str] = ()
    ) -> None:
        self.members = {member.name: member for member in members}
        self._directory = directory
        self._program = program
        self._options = tuple(options)
        self._processes: dict[str, Process] = {}

    @property
    def urls(self) -> Sequence[str]:
        """Where clients reach the members, in their order."""
        return [member.url for member in self.members.values()]

    def adopt(self, process: Process) -> None:
        """Take a member's process for one's own: another program has started it."""
        self._processes[process.name] = process

    def process(self, name: str) -> Process:
        """A member's process, running or not. Raises KeyError when it was never started."""
        return self._processes[name]

    def start(self, *names: str) -> None:
        """Start members, all when none is named; does not wait. Those that run are left alone."""
        for name in names or self.members:
            if not self.is_alive(name):
                self._start(self.members[name])

    def kill(self, *names: str) -> None:
        """End members as a crash would, all when none is named; their data stay."""
        for name in names or self.members:
            if name in self._processes:
                processes.kill(self._processes.pop(name))

    def pause(self, name: str) -> None:
        """Let a member stand still with its connections open."""
        processes.pause(self._processes[name])

    def resume(self, name: str) -> None:
        """Let a paused member go on."""
        processes.resume(self._processes[name])

    def is_alive(self, name: str) -> bool:
        """Whether a member's process exists; a paused one does."""
        return name in self._processes and processes.is_alive(self._processes[name])

    def cut_off(self, name: str) -> None:
        """Drop every packet between a member and the others, but not those of clients. Needs root.

        Raises:
            Unsupported: the member has no namespace of its own.
        """
        others = ", ".join(member.address for member in self.members.values() if member.name != name)
        script = f"""
            table {_PEERS_TABLE} {{
                chain in {{ type filter hook input priority 0; ip saddr {{ {others} }} drop; }}
                chain out {{ type filter hook output priority 0; ip daddr {{ {others} }} drop; }}
            }}
        """
        self._nft(name, script)

    def reconnect(self, name: str) -> None:
        """Undo `cut_off`; no error when the member is not cut off."""
        self._nft(name, _deletion(_PEERS_TABLE))

    def cut_off_clients(self, name: str) -> None:
        """Drop every packet of clients to a member, as `cut_off` does those of its peers."""
        member = self.members[name]
        rule = f"ip saddr != {member.address} tcp dport {member.client_port} drop"
        chain = f"chain in {{ type filter hook input priority 0; {rule}; }}"
        self._nft(name, f"table {_CLIENTS_TABLE} {{\n{chain}\n}}")

    def reconnect_clients(self, name: str) -> None:
        """Undo `cut_off_clients`; no error when there is nothing to undo."""
        self._nft(name, _deletion(_CLIENTS_TABLE))

    def wait_for(self, name: str, revision: int) -> None:
        """Wait until a member has come as far as a revision. Raises Unavailable."""
        deadline = time.monotonic() + _START_SECONDS
        while not (status := self._status(self.members[name])) or status.revision < revision:
            if time.monotonic() > deadline:
                raise Unavailable(f"etcd {name} does not reach revision {revision}: {status}")
            time.sleep(_POLL_SECONDS)

    def leader(self) -> str:
        """The member that answers and that most take for the leader, waiting until there is one. Raises Unavailable."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            found = {member.name: self._status(member) for member in self.members.values()}
            leaders = [status.leader for status in found.values() if status]
            for name, status in found.items():
                if status and 2 * leaders.count(status.number) > len(self.members):
                    return name
            time.sleep(_POLL_SECONDS)
        raise Unavailable(f"etcd in {self._directory}: no leader in {_START_SECONDS:g} s")

    def wait(self) -> None:
        """Wait until every member knows a leader. Raises Unavailable when one has ended, or takes too long."""
        deadline = time.monotonic() + _START_SECONDS
        for member in self.members.values():
            while not (status := self._status(member)) or not status.leader:
                if not self.is_alive(member.name):
                    raise Unavailable(f"etcd {member.name} has ended: {self._last_words(member)}")
                if time.monotonic() > deadline:
                    raise Unavailable(f"etcd {member.name} is not ready: {self._last_words(member)}")
                time.sleep(_POLL_SECONDS)

    def _start(self, member: Member) -> None:
        self._log(member).parent.mkdir(parents=True, exist_ok=True)
        argv = [self._program, *self._arguments(member), *self._options]
        self._processes[member.name] = processes.start(
            member.name, "etcd", member.namespace, argv, self._log(member), {"PATH": os.defpath}
        )

    def _arguments(self, member: Member) -> list[str]:
        peers = ",".join(f"{each.name}={each.peer_url}" for each in self.members.values())
        return [
            f"--name={member.name}",
            f"--data-dir={self._log(member).parent / 'data'}",
            f"--listen-client-urls={member.url}",
            f"--advertise-client-urls={member.url}",
            f"--listen-peer-urls={member.peer_url}",
            f"--initial-advertise-peer-urls={member.peer_url}",
            f"--initial-cluster={peers}",
            f"--heartbeat-interval={_HEARTBEAT_MILLISECONDS}",
            f"--election-timeout={_ELECTION_MILLISECONDS}",
        ]

    def _log(self, member: Member) -> Path:
        return self._directory / member.name / "log"

    def _last_words(self, member: Member) -> str:
        lines = self._log(member).read_text(errors="replace").splitlines()
        return " / ".join(lines[-_LAST_LINES:])

    def _status(self, member: Member) -> _Status | None:
        """What a member says of itself, asked from where it is; None when it does not answer."""
        connection = http.client.HTTPConnection(member.address, member.client_port, timeout=_STATUS_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            with inside(member.namespace) if member.namespace else contextlib.nullcontext():
                connection.connect()
            connection.request("POST", "/v3/maintenance/status", "{}")
            status = json.loads(connection.getresponse().read())
            header = status["header"]
            return _Status(int(header["member_id"]), int(status.get("leader", 0)), int(header.get("revision", 0)))
        return None

    def _nft(self, name: str, script: str) -> None:
        namespace = self.members[name].namespace
        if namespace is None:
            raise Unsupported(f"etcd {name} shares its network with other programs: give it a namespace")
        with inside(namespace):
            subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True, capture_output=True)


def on_loopback(names: Sequence[str]) -> Sequence[Member]:
    """Members on addresses of the loopback network that nobody uses; needs no privilege.

    Connections begin at 127.0.0.1, so that none takes a member's port while the member is away.
    """
    while True:
        network = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
        members = [Member(name, f"{network}.{number}") for number, name in enumerate(names, 1)]
        if all(_is_free(member) for member in members):
            return members


def _deletion(table: str) -> str:
    """Deletes a table, whether or not it is there."""
    return f"table {table} {{}}\ndelete table {table}"


def _is_free(member: Member) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((member.address, member.client_port))
        except OSError:
            return False
    return True
