"""A host of a lab as those see it who run services on it: where it is, and its processes by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from tortie.base.errors import AlreadyExists
from tortie.lab import processes
from tortie.lab.processes import Process
from tortie.lab.state import State, StateFile
from tortie.lab.topology import Host, Topology


class Place:
    """A host: its namespace, its run directory, and what runs on it.

    Attributes:
        host: name and addresses.
        namespace: path of its network namespace.
        directory: its own run directory, which exists while the lab does.
    """

    def __init__(self, topology: Topology, host: Host) -> None:
        self.host = host
        self.namespace = topology.host_namespace(host.name)
        self.directory = topology.host_directory(host.name)
        self._states = StateFile(topology.run_directory)

    def start(self, name: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a program in the host's namespace; its output goes to `NAME.log` in the host's directory.

        Args:
            environment: added to this process's own.

        Raises:
            AlreadyExists: a process of that name runs here.
            OSError: there is no such program.
        """
        if self.alive(name):
            raise AlreadyExists(f"process {name} on {self.host.name}")
        log = self.directory / f"{name}.log"
        started = processes.start(
            name, self.host.name, self.namespace, argv, log, {**os.environ, **(environment or {})}
        )
        self._states.update(lambda state: _with(state, started))
        return started

    def alive(self, name: str) -> bool:
        """Whether a process of that name runs here."""
        return any(processes.is_alive(one) for one in self._named(name))

    def stop(self, name: str) -> None:
        """End it in good order, or by force if it does not end; no error when there is none."""
        for one in self._named(name):
            processes.stop(one)
            self._forget(one)

    def kill(self, name: str) -> None:
        """End it as a crash would; no error when there is none."""
        for one in self._named(name):
            processes.kill(one)
            self._forget(one)

    def _named(self, name: str) -> list[Process]:
        return [one for one in self._states.read().processes if (one.place, one.name) == (self.host.name, name)]

    def _forget(self, process: Process) -> None:
        self._states.update(lambda state: _without(state, process))


class HostServices(Protocol):
    """What makes a bare host one of the cluster: agent, BGP daemon. Implemented by whoever assembles the lab."""

    def start(self, place: Place) -> None:
        """Start everything on a host; does not wait."""

    def stop(self, place: Place) -> None:
        """End everything on a host in good order."""

    def kill(self, place: Place) -> None:
        """Crash everything on a host."""

    def ready(self, place: Place) -> bool:
        """Whether the host can take workloads."""

    def hindrance(self, place: Place) -> str:
        """Why a host that was ready takes no workload now, in words; empty when it does."""


class NoServices:
    """Hosts that only route."""

    def start(self, place: Place) -> None:
        """Nothing to start."""

    def stop(self, place: Place) -> None:
        """Nothing to stop."""

    def kill(self, place: Place) -> None:
        """Nothing to kill."""

    def ready(self, place: Place) -> bool:
        """At once."""
        return True

    def hindrance(self, place: Place) -> str:
        """Nothing is needed."""
        return ""


def _with(state: State, process: Process) -> State:
    """The state with a process in place of earlier ones of its name."""
    kept = [one for one in state.processes if (one.place, one.name) != (process.place, process.name)]
    return msgspec.structs.replace(state, processes=(*kept, process))


def _without(state: State, process: Process) -> State:
    return msgspec.structs.replace(state, processes=tuple(one for one in state.processes if one != process))
