"""A whole cluster on one machine: up, attach, move, probe, down; found again by name from any process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from tortie.base.errors import Conflict, NotFound, TortieError, Unavailable
from tortie.lab import fabric, processes, workload
from tortie.lab.datastore import PLACE, LabEtcd
from tortie.lab.limits import raise_limits, restore_limits
from tortie.lab.place import HostServices, NoServices, Place
from tortie.lab.probe.matrix import EVERY_TRANSPORT, Matrix, Member, Question, matrices
from tortie.lab.probe.model import Outcome, Probe
from tortie.lab.probe.prober import Prober
from tortie.lab.state import Attachment, State, StateFile
from tortie.lab.topology import Topology
from tortie.lab.workload import Attacher, DirectAttacher
from tortie.netlink.namespace import inside

_LOOK_AGAIN = 0.02
PORTS = (80, 8080)
"""What every place of a lab listens on."""
_EXEC_PATIENCE = 60.0


class HostStatus(msgspec.Struct, frozen=True):
    """A host: whether its services are ready, and its processes with whether each lives."""

    name: str
    ready: bool
    processes: dict[str, bool]


class LabStatus(msgspec.Struct, frozen=True):
    """A lab as it stands; `members` of etcd with whether each lives."""

    topology: Topology
    hosts: tuple[HostStatus, ...]
    attachments: dict[str, Attachment]
    members: dict[str, bool] = {}


class Lab:
    """One lab. Methods block; none may be called from two threads at once.

    Args:
        services: what runs on the hosts; by default nothing.
        attacher: how workloads are connected; by default directly, with static routes between hosts.
    """

    def __init__(
        self, topology: Topology, services: HostServices | None = None, attacher: Attacher | None = None
    ) -> None:
        self.topology = topology
        self._services = services or NoServices()
        self._attacher = attacher or DirectAttacher()
        self._states = StateFile(topology.run_directory)
        self._prober: Prober | None = None

    @classmethod
    def find(
        cls,
        name: str,
        services: HostServices | None = None,
        attacher: Attacher | None = None,
        directory: str = "/run/tortie/lab",
    ) -> Lab:
        """The lab of this name that some process has put up. Raises NotFound."""
        state = StateFile(Path(directory) / name).read()
        return cls(state.topology, services, attacher)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self, patience: float = 60.0) -> None:
        """Build everything: fabric, hosts, services, workloads. What fails leaves a lab that `down` removes.

        Raises:
            Conflict: a lab of this name is there already.
            KernelError: the kernel refused something.
            Unavailable: services were not ready within `patience` seconds.
        """
        try:
            self._states.create(self.topology)
        except FileExistsError as error:
            raise Conflict(
                f"lab {self.topology.name}", "is up already, or was not taken down; take it down first"
            ) from error
        raise_limits(self.topology)
        fabric.build(self.topology)
        for place in self.places():
            place.directory.mkdir(parents=True)
            self._services.start(place)
        self.wait_ready(patience)
        for one in self.topology.workloads:
            workload.create(self.topology, one)
            self.attach(one.name)

    def wait_ready(self, patience: float = 60.0) -> None:
        """Wait until every host can take workloads. Raises Unavailable."""
        deadline = time.monotonic() + patience
        while waiting := [place.host.name for place in self.places() if not self._services.ready(place)]:
            if time.monotonic() > deadline:
                raise Unavailable(f"not ready after {patience:g} s: {', '.join(waiting)}")
            time.sleep(_LOOK_AGAIN)

    def down(self) -> None:
        """Remove every trace, however little is left and whoever built it; nothing there is no error.

        Raises:
            Unavailable: a process does not end.
        """
        self.close()
        self._end_processes()
        fabric.demolish(self.topology)
        restore_limits(self.topology)
        self._states.remove()

    def close(self) -> None:
        """Let go of what this process holds; the lab stands on."""
        if self._prober is not None:
            self._prober.close()
            self._prober = None

    def places(self) -> list[Place]:
        """All hosts."""
        return [Place(self.topology, host) for host in self.topology.hosts]

    def place(self, host: str) -> Place:
        """One host. Raises NotFound."""
        return Place(self.topology, self.topology.host(host))

    @property
    def etcd(self) -> LabEtcd:
        """The members of its etcd, where it has one."""
        return LabEtcd(self.topology)

    def start_services(self, host: str) -> None:
        """Start what runs on a host, or a member of etcd. Raises NotFound."""
        if self.topology.member(host):
            self.etcd.start(host)
        else:
            self._services.start(self.place(host))

    def stop_services(self, host: str) -> None:
        """End in good order what runs on a host, or a member of etcd. Raises NotFound."""
        if self.topology.member(host):
            self.etcd.stop(host)
        else:
            self._services.stop(self.place(host))

    def kill_services(self, host: str) -> None:
        """Crash what runs on a host, or a member of etcd. Raises NotFound."""
        if self.topology.member(host):
            self.etcd.kill(host)
        else:
            self._services.kill(self.place(host))

    def attach(self, name: str, host: str = "", addresses: Sequence[str] = ()) -> Attachment:
        """Connect a workload to a host: by default where the topology says, with addresses of the attacher's choice.

        Raises:
            NotFound: unknown workload or host.
            Conflict: it is attached already.
        """
        one = self.topology.workload(name)
        if name in self.state().attachments:
            raise Conflict(f"workload {name}", "is attached already")
        attachment = self._attacher.attach(self.topology, one, self.topology.host(host or one.host), addresses)
        self._states.update(lambda state: _attached(state, name, attachment))
        return attachment

    def detach(self, name: str) -> Attachment:
        """Disconnect a workload; its namespace and what runs in it stay. Raises NotFound."""
        attachment = self.attachment(name)
        self._attacher.detach(self.topology, self.topology.workload(name), attachment)
        self._states.update(lambda state: _detached(state, name))
        return attachment

    def move(self, name: str, host: str) -> Attachment:
        """Disconnect a workload and connect it to another host with the addresses that it has.

        When the other host cannot take it, it is connected again where it was, if that is possible; one that is
        nowhere is simply connected, with addresses of the attacher's choice.

        Raises:
            NotFound: unknown workload or host.
            Unavailable: the other host takes no workload now, so nothing was done.
        """
        self.require_taking(host)
        if self.topology.workload(name).name not in self.state().attachments:
            return self.attach(name, host)
        old = self.detach(name)
        try:
            return self.attach(name, host, old.addresses)
        except TortieError:
            with suppress(TortieError):
                self.attach(name, old.host, old.addresses)
            raise

    def replace(self, name: str, attachment: Attachment) -> None:
        """Disconnect a workload from where it was; it is connected elsewhere already. Raises NotFound."""
        self._attacher.detach(self.topology, self.topology.workload(name), self.attachment(name))
        self._states.update(lambda state: _attached(state, name, attachment))

    def require_taking(self, host: str) -> None:
        """Raises NotFound; Unavailable when the host takes no workload now."""
        place = Place(self.topology, self.topology.host(host))
        if hindrance := self._services.hindrance(place):
            raise Unavailable(f"host {host} takes no workload now, so nothing was moved: {hindrance}")

    def attachment(self, name: str) -> Attachment:
        """Where a workload is now. Raises NotFound when it is nowhere."""
        found = self.state().attachments.get(name)
        if found is None:
            raise NotFound(f"attachment of workload {name}")
        return found

    def state(self) -> State:
        """What the lab remembers. Raises NotFound when it is not up."""
        return self._states.read()

    def status(self) -> LabStatus:
        """Hosts, their processes, and where workloads are. Raises NotFound when the lab is not up."""
        state = self.state()
        return LabStatus(
            self.topology,
            tuple(self._host_status(place, state) for place in self.places()),
            dict(state.attachments),
            {member.name: self.etcd.is_alive(member.name) for member in self.topology.members},
        )

    def namespace(self, where: str) -> Path:
        """The namespace of a host, a workload (a host goes before one of its name) or `fabric`. Raises NotFound."""
        if where == fabric.BRIDGE or any(host.name == where for host in (*self.topology.hosts, *self.topology.members)):
            return self.topology.host_namespace(where)
        return self.topology.workload_namespace(self.topology.workload(where).name)

    def exec(
        self, where: str, argv: Sequence[str], patience: float = _EXEC_PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end at a host, a workload or `fabric`; a failure of its own is in the result.

        Args:
            patience: seconds after which it is killed.

        Raises:
            NotFound: there is no such place.
            Unavailable: there is no such program, or it did not end in time.
        """
        try:
            with inside(self.namespace(where)):
                return subprocess.run(
                    argv, capture_output=True, text=True, errors="replace", timeout=patience, check=False
                )
        except OSError as error:
            raise Unavailable(f"{argv[0]} cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{argv[0]} did not end within {patience:g} s and was killed") from error

    def run_in_workload(self, name: str, program: str, argv: Sequence[str]) -> None:
        """Start a program in a workload; it runs until `down`. Raises NotFound, OSError."""
        log = self.topology.run_directory / f"{name}-{program}.log"
        started = processes.start(program, name, self.namespace(name), argv, log, os.environ)
        self._states.update(lambda state: msgspec.structs.replace(state, processes=(*state.processes, started)))

    @property
    def prober(self) -> Prober:
        """The probe engine, with a station at every host, every workload and `fabric`; started at first use."""
        if self._prober is None:
            self._prober = Prober()
            for where in self._everywhere():
                self._prober.open(where, self.namespace(where), PORTS)
        return self._prober

    def probe(self, *probes: Probe) -> list[Outcome]:
        """Send probes between named places; all listen on ports 80 and 8080. Raises NotFound."""
        return self.prober.run(probes)

    def members(self) -> list[Member]:
        """The attached workloads, as rows and columns of a matrix."""
        return [Member(name, one.addresses) for name, one in sorted(self.state().attachments.items())]

    def matrix(self, questions: Sequence[Question] = EVERY_TRANSPORT) -> list[Matrix]:
        """Who reaches whom among all attached workloads."""
        return matrices(self.prober, self.members(), questions)

    def _everywhere(self) -> list[str]:
        hosts = [host.name for host in self.topology.hosts]
        return [*hosts, *(one.name for one in self.topology.workloads if one.name not in hosts), fabric.BRIDGE]

    def _host_status(self, place: Place, state: State) -> HostStatus:
        here = [one for one in state.processes if one.place == place.host.name]
        return HostStatus(
            place.host.name, self._services.ready(place), {one.name: processes.is_alive(one) for one in here}
        )

    def _end_processes(self) -> None:
        """Those remembered in good order; then those that nobody lived to record, found by where they live.

        Members of etcd would wait for one another, and for what nobody will read again.
        """
        with suppress(NotFound):
            recorded = self.state().processes
            processes.stop_all(one for one in recorded if one.place != PLACE)
            for one in recorded:
                processes.kill(one)
        for pid in processes.inhabitants(fabric.namespaces(self.topology)):
            stray = processes.identify(pid, "")
            if stray is not None:
                processes.kill(stray)


def _attached(state: State, name: str, attachment: Attachment) -> State:
    return msgspec.structs.replace(state, attachments={**state.attachments, name: attachment})


def _detached(state: State, name: str) -> State:
    kept = {key: value for key, value in state.attachments.items() if key != name}
    return msgspec.structs.replace(state, attachments=kept)
