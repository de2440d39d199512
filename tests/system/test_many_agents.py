"""Fifty agents on one machine, which reach their etcd through etcd's own proxy."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tortie.agent.client import ask
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import Rule
from tortie.base.errors import Unavailable
from tortie.lab import processes
from tortie.lab.assembly import StaticRoutes, plugin
from tortie.lab.cluster import write
from tortie.lab.datastore import make_datastore
from tortie.lab.etcd import CLIENT_PORT, PROGRAM
from tortie.lab.lab import Lab
from tortie.lab.place import Place
from tortie.lab.processes import Process
from tortie.lab.services import AgentServices
from tortie.lab.topology import Topology, simple

pytestmark = [pytest.mark.system, pytest.mark.soak]

AGENTS = 50
PROXY_PORT = 23790
PATIENCE = 180.0
IDLE_SECONDS = 10.0


class ThroughProxy(AgentServices):
    """Agents that know only the proxy."""

    def __init__(self, topology: Topology) -> None:
        (self._member,) = topology.members
        url = f"http://{self._member.addresses[0]}:{PROXY_PORT}"
        super().__init__(topology, bird=False, settings={"TORTIE_DATASTORE": url, "TORTIE_ETCD_TIMEOUT_SECONDS": "5"})
        self._topology = topology
        self.proxy: Process | None = None

    def start(self, place: Place) -> None:
        if self.proxy is None:
            make_datastore(self._topology)
            self.start_proxy()
        super().start(place)

    def start_proxy(self) -> None:
        address = self._member.addresses[0]
        argv = [PROGRAM, "grpc-proxy", "start", f"--endpoints=http://{address}:{CLIENT_PORT}"]
        argv += [f"--listen-addr={address}:{PROXY_PORT}", "--namespace="]
        log = self._topology.run_directory / "proxy.log"
        inside = self._topology.host_namespace(self._member.name)
        self.proxy = processes.start("proxy", self._member.name, inside, argv, log, os.environ)

    def kill_proxy(self) -> None:
        assert self.proxy is not None
        processes.kill(self.proxy)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[tuple[Lab, ThroughProxy]]:
    topology = simple(f"s{os.getpid()}m", AGENTS, 0, str(tmp_path), etcd=1)
    services = ThroughProxy(topology)
    lab = Lab(topology, services, StaticRoutes(plugin(topology)))
    try:
        lab.up(PATIENCE)
        yield lab, services
    finally:
        lab.down()
        if services.proxy is not None:
            processes.kill(services.proxy)


def policy(name: str) -> GlobalNetworkPolicy:
    """One of every host endpoint, so that every agent has to know it, beside the profile."""
    spec = GlobalNetworkPolicySpec(selector="all()", types=("Ingress",), ingress=(Rule(action="Allow"),))
    return GlobalNetworkPolicy(metadata=Metadata(name=name), spec=spec)


def until(everywhere: Callable[[Place], bool], places: list[Place]) -> float:
    """Seconds until all agents say so."""
    began, left = time.monotonic(), list(places)
    while left:
        assert time.monotonic() - began < PATIENCE, [place.host.name for place in left]
        left = [place for place in left if not _holds(everywhere, place)]
        time.sleep(0.02)
    return time.monotonic() - began


def _holds(everywhere: Callable[[Place], bool], place: Place) -> bool:
    try:
        return everywhere(place)
    except Unavailable:
        return False


def used(places: list[Place]) -> float:
    """Seconds of processor time of all agents."""
    total = 0.0
    for place in places:
        fields = Path(f"/proc/{ask(place.directory).pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def test_fifty_agents_behind_one_proxy_follow_also_when_it_was_killed(crowd: tuple[Lab, ThroughProxy]) -> None:
    lab, services = crowd
    places = lab.places()
    assert len(places) == AGENTS
    asyncio.run(write(lab.topology, [_host_endpoint(place, "one") for place in places]))
    took = until(lambda place: ask(place.directory).host_endpoints == 1, places)
    print(f"every agent knows its host endpoint: {took:.2f} s after the last was written")
    asyncio.run(write(lab.topology, [policy("first")]))
    took = until(lambda place: ask(place.directory).policies == 2, places)
    print(f"a policy is everywhere after {took:.2f} s")
    before = used(places)
    time.sleep(IDLE_SECONDS)
    print(f"{AGENTS} idle agents: {(used(places) - before) / IDLE_SECONDS:.1%} of a processor together")
    services.kill_proxy()
    asyncio.run(write(lab.topology, [policy("second")]))
    time.sleep(3)
    assert all(ask(place.directory).policies == 2 for place in places), "they know nothing new, and keep what they had"
    services.start_proxy()
    took = until(lambda place: ask(place.directory).policies == 3, places)
    print(f"what was written meanwhile is everywhere {took:.2f} s after the proxy was back")


def _host_endpoint(place: Place, name: str) -> HostEndpoint:
    """Open for everything until a policy says otherwise: its profile allows all."""
    host = place.host.name
    spec = HostEndpointSpec(node=host, interface_name="unused0", profiles=("projectcalico-default-allow",))
    return HostEndpoint(metadata=Metadata(name=f"{host}-{name}"), spec=spec)
