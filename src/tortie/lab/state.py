"""What a lab must know to be found again, and taken down, by another process: one JSON file under a lock."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tortie.base.errors import NotFound
from tortie.base.files import write_atomically
from tortie.lab.processes import Process
from tortie.lab.topology import Topology


class Attachment(msgspec.Struct, frozen=True):
    """A workload's connection to a host.

    Args:
        addresses: without prefix length.
        container_id: as the runtime told the CNI plugin; empty when attached directly.
    """

    host: str
    addresses: tuple[str, ...]
    interface: str = ""
    container_id: str = ""


class State(msgspec.Struct, frozen=True):
    """A lab as it stands; the topology says where workloads began, attachments where they are."""

    topology: Topology
    attachments: Mapping[str, Attachment] = {}
    processes: tuple[Process, ...] = ()


class StateFile:
    """The state of one lab in its run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "state.json"

    def create(self, topology: Topology) -> None:
        """Write the state of a lab that has nothing yet. Raises FileExistsError when there is such a lab."""
        self._directory.mkdir(parents=True)
        self._write(State(topology))

    def read(self) -> State:
        """Raises NotFound when there is no such lab, or its state was never written."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError as error:
            raise NotFound(f"lab {self._directory.name}") from error

    def update(self, change: Callable[[State], State]) -> State:
        """Read, change and write as one step among all processes. Raises NotFound."""
        with self._locked():
            state = change(self.read())
            self._write(state)
            return state

    def remove(self) -> None:
        """Remove the run directory and all in it."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _write(self, state: State) -> None:
        write_atomically(self._path, msgspec.json.encode(state))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"lab {self._directory.name}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
