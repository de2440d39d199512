"""A lab with real agents for the tests of a module: a server, a client that may talk to it, a stranger that may not."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tortie.agent.client import ask
from tortie.agent.status import AgentReport
from tortie.api.documents import load_resource, read_documents
from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import NotFound, Unavailable
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.lab import processes
from tortie.lab.assembly import StaticRoutes, plugin
from tortie.lab.cluster import location, write
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.services import AGENT, AgentServices
from tortie.lab.topology import Topology, Workload, simple
from tortie.netlink.namespace import NAMED, delete_namespace
from tortie.selector.check import selector_problem

POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: server}
spec:
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - {action: Allow, source: {selector: role == 'client'}}
"""

_OURS = re.compile(r"tt-s(\d+)x\d+-")
_NUMBERS = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _leftovers_of_killed_runs_are_removed() -> None:
    for path in NAMED.glob("tt-s*"):
        owner = _OURS.match(path.name)
        if owner and processes.start_time(int(owner[1])) is None:
            for pid in processes.inhabitants([path]):
                stray = processes.identify(pid, "")
                if stray is not None:
                    processes.kill(stray)
            delete_namespace(path.name)


class World:
    """A lab, and what tests do to its agents."""

    def __init__(self, lab: Lab, services: AgentServices) -> None:
        self.lab = lab
        self.services = services

    def address(self, name: str, family: int = 4) -> str:
        """A workload's address."""
        return next(one for one in self.lab.attachment(name).addresses if (":" in one) == (family == 6))

    def probe(self, source: str, to: str, family: int = 4, transport: Transport = Transport.TCP) -> Probe:
        """A question between workloads."""
        return Probe(source, self.address(to, family), transport, 80)

    def reaches(self, source: str, to: str, family: int = 4) -> bool:
        """Whether a connection opens."""
        return self.lab.probe(self.probe(source, to, family))[0].allowed

    def report(self, host: str = "h1") -> AgentReport:
        """What the agent says."""
        return ask(self.lab.place(host).directory)

    def target(self, name: str, host: str = "h1") -> msgspec.Struct:
        """What the agent says of a target."""
        return next(one for one in self.report(host).targets if one.name == name)

    def kill(self, host: str = "h1") -> None:
        """As kill -9 does."""
        self.lab.place(host).kill(AGENT)

    def stop(self, host: str = "h1") -> None:
        """As SIGTERM does."""
        self.lab.place(host).stop(AGENT)

    def start(self, host: str = "h1", *, wait: bool = True) -> None:
        """Start the agent, and wait until it is ready."""
        self.services.start_agent(self.lab.place(host))
        if wait:
            self.lab.wait_ready(20)

    def pid(self, host: str = "h1") -> int:
        """Of the agent, alive or not."""
        return next(one.pid for one in self.lab.state().processes if (one.place, one.name) == (host, AGENT))

    def apply(self, text: str) -> None:
        """As `tortie apply` does."""
        asyncio.run(write(self.lab.topology, [load_resource(one) for one in read_documents(text)]))

    def delete(self, key: ResourceKey) -> None:
        """As `tortie delete` does; absence is no error."""
        asyncio.run(_delete(self.lab.topology, key))

    def ruleset(self, host: str = "h1") -> str:
        """Our table with its handles, which change whenever something is written; counters are left out."""
        return self.run("nft", "-s", "-a", "list", "table", "inet", "tortie", host=host)

    def run(self, *command: str, host: str = "h1") -> str:
        """What a program prints on a host."""
        return self.lab.exec(host, command).stdout

    def until(self, condition: Callable[[], bool], what: str, patience: float = 15.0) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.02)


async def _delete(topology: Topology, key: ResourceKey) -> None:
    datastore = await open_datastore(location(topology))
    try:
        await ResourceStore(datastore, SystemClock(), selector_problem).delete(key)
    except NotFound:
        return
    finally:
        await datastore.close()


WORKLOADS = (
    Workload("server", "h1", labels={"role": "server"}),
    Workload("neighbour", "h1", labels={"role": "stranger"}),
    Workload("client", "h2", labels={"role": "client"}),
    Workload("stranger", "h2", labels={"role": "stranger"}),
)


@pytest.fixture(scope="module")
def new_topology(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Topology]:
    """Makes two hosts with the workloads given; no two have one name."""

    def make(*workloads: Workload) -> Topology:
        bare = simple(f"s{os.getpid()}x{next(_NUMBERS)}", 2, 0, str(tmp_path_factory.mktemp("lab")))
        return msgspec.structs.replace(bare, workloads=workloads)

    return make


@pytest.fixture(scope="module")
def open_directory() -> Iterator[Path]:
    """A folder that daemons without privileges can enter, as those of FRR must."""
    path = Path(tempfile.mkdtemp(prefix="tt-open-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def world_of() -> Callable[[Lab, AgentServices], World]:
    """Makes a world of another lab."""
    return World


@pytest.fixture(scope="module")
def world(new_topology: Callable[..., Topology]) -> Iterator[World]:
    """Two hosts with agents, and the policy in force. Tests leave it as they find it."""
    topology = new_topology(*WORKLOADS)
    services = AgentServices(topology, bird=False)
    with Lab(topology, services, StaticRoutes(plugin(topology))) as lab:
        one = World(lab, services)
        one.apply(POLICY)
        one.until(lambda: not one.reaches("stranger", "server"), "the policy is in force")
        yield one


@pytest.fixture(scope="module")
def etcd_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three hosts on an etcd of three members, and the policy in force. Tests leave it as they find it."""
    bare = simple(f"s{os.getpid()}x{next(_NUMBERS)}", 3, 0, str(tmp_path_factory.mktemp("lab")), etcd=3)
    stranger = msgspec.structs.replace(WORKLOADS[3], host="h3")
    spread = (*WORKLOADS[:3], stranger, Workload("leaver", "h1", labels={"role": "stranger"}))
    topology = msgspec.structs.replace(bare, workloads=spread)
    services = AgentServices(topology, bird=False, settings={"TORTIE_ETCD_TIMEOUT_SECONDS": "2"})
    with Lab(topology, services, StaticRoutes(plugin(topology))) as lab:
        one = World(lab, services)
        one.apply(POLICY)
        one.until(lambda: not one.reaches("stranger", "server"), "the policy is in force")
        yield one


@pytest.fixture
def settled(world: World) -> World:
    """The same with every agent ready."""
    for host in world.lab.topology.hosts:
        place = world.lab.place(host.name)
        if not place.alive(AGENT):
            world.services.start_agent(place)
    try:
        world.lab.wait_ready(20)
    except Unavailable:
        for path in world.lab.topology.run_directory.glob("hosts/*/agent.log"):
            print(path.read_text()[-3000:])
        raise
    return world
