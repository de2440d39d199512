"""The datastore of a lab: a file, or an etcd whose members are hosts of their own on the lab's fabric."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tortie.lab import processes, relay
from tortie.lab.cluster import initial_resources, write
from tortie.lab.etcd import CLIENT_PORT, EtcdCluster, Member
from tortie.lab.processes import Process
from tortie.lab.state import State, StateFile
from tortie.lab.topology import Topology

PLACE = "etcd"
"""Where the state of a lab says that members, and the relay to them, run."""

RELAY = "relay"

_OPTIONS = ("--heartbeat-interval=100", "--election-timeout=1000", "--max-snapshots=2", "--max-wals=2")
"""Calm enough for a machine that many hosts share."""


class LabEtcd:
    """The etcd of a lab that is up, whichever process has put it up.

    Programs in the lab reach the members on the fabric; those outside at `Topology.etcd_urls`, through a relay.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._states = StateFile(topology.run_directory)
        self.directory = topology.run_directory / PLACE

    @property
    def names(self) -> Sequence[str]:
        """All members."""
        return [member.name for member in self._topology.members]

    @property
    def cluster(self) -> EtcdCluster:
        """The cluster, for faults other than these; what is started or killed there, the lab does not know."""
        members = [
            Member(one.name, one.addresses[0], namespace=self._topology.host_namespace(one.name))
            for one in self._topology.members
        ]
        found = EtcdCluster(self.directory, members, options=_OPTIONS)
        for process in self._recorded(*self.names):
            found.adopt(process)
        return found

    def start(self, *names: str) -> None:
        """Start members that do not run, all when none is named, and the relay; does not wait."""
        if not any(map(processes.is_alive, self._recorded(RELAY))):
            self._record([self._start_relay()])
        cluster = self.cluster
        cluster.start(*names)
        self._record([cluster.process(name) for name in names or self.names])

    def wait(self) -> None:
        """Wait until every member knows a leader, and can be reached from outside. Raises Unavailable."""
        self.cluster.wait()
        relay.wait(url.removeprefix("http://") for url in self._topology.etcd_urls)

    def kill(self, *names: str) -> None:
        """End members as a crash would, all when none is named; their data stay."""
        self.cluster.kill(*names)

    def stop(self, *names: str) -> None:
        """End members in good order, all when none is named."""
        processes.stop_all(self._recorded(*(names or self.names)))

    def is_alive(self, name: str) -> bool:
        """Whether a member runs."""
        return self.cluster.is_alive(name)

    def leader(self) -> str:
        """The member that leads, waiting until there is one. Raises Unavailable."""
        return self.cluster.leader()

    def _start_relay(self) -> Process:
        self.directory.mkdir(exist_ok=True)
        pairs = [
            (url.removeprefix("http://"), f"{member.addresses[0]}:{CLIENT_PORT}")
            for url, member in zip(self._topology.etcd_urls, self._topology.members, strict=True)
        ]
        # Whoever waits for the first answer stays until the relay has opened this.
        argv = relay.command(Path(f"/proc/{os.getpid()}/ns/net"), pairs)
        inside = self._topology.host_namespace("fabric")
        return processes.start(RELAY, PLACE, inside, argv, self.directory / f"{RELAY}.log", os.environ)

    def _recorded(self, *names: str) -> list[Process]:
        return [one for one in self._states.read().processes if one.place == PLACE and one.name in names]

    def _record(self, started: Sequence[Process]) -> None:
        self._states.update(lambda state: _with(state, started))


def urls_inside(topology: Topology) -> str:
    """The datastore, for programs in the lab's namespaces."""
    urls = (f"http://{member.addresses[0]}:{CLIENT_PORT}" for member in topology.members)
    return ",".join(urls) if topology.etcd else topology.datastore


def make_datastore(topology: Topology) -> None:
    """Make the datastore of a lab with what it holds from the start, if it was never made. Raises Unavailable."""
    made = topology.run_directory / PLACE if topology.etcd else Path(topology.datastore)
    if made.exists():
        return
    if topology.etcd:
        etcd = LabEtcd(topology)
        etcd.start()
        etcd.wait()
    asyncio.run(write(topology, initial_resources(topology)))


def _with(state: State, started: Sequence[Process]) -> State:
    names = {one.name for one in started}
    kept = [one for one in state.processes if one.place != PLACE or one.name not in names]
    return msgspec.structs.replace(state, processes=(*kept, *started))
