"""What a real agent tells etcd of its host and endpoints: there with them, down with interfaces, gone with them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
import pytest

from tortie.agent.client import ask
from tortie.api.documents import load_resource, read_documents
from tortie.datastore.contract import Datastore
from tortie.datastore.open import open_datastore
from tortie.datastore.statuskeys import (
    HOST_ENDPOINTS,
    REGIONS,
    HostEndpointStatusKey,
    LastReportKey,
    Liveness,
    LivenessKey,
    WorkloadStatusKey,
    decode_endpoint_status,
    decode_liveness,
    status_key,
    workload_status_prefix,
)
from tortie.lab.assembly import StaticRoutes, plugin
from tortie.lab.cluster import initial_resources, location, write
from tortie.lab.datastore import LabEtcd
from tortie.lab.lab import Lab
from tortie.lab.place import Place
from tortie.lab.services import AGENT, AgentServices
from tortie.lab.topology import Topology, Workload, simple

pytestmark = [pytest.mark.system, pytest.mark.kernel]

Result = TypeVar("Result")

LIVES, LAST = status_key(LivenessKey("", "h1")), status_key(LastReportKey("", "h1"))
UPLINK = status_key(HostEndpointStatusKey("h1", "uplink"))
SPARE = status_key(HostEndpointStatusKey("h1", "spare"))
STALE = status_key(WorkloadStatusKey("", "h1", "cni", "default/gone", "eth0"))
THEIRS = status_key(WorkloadStatusKey("", "h2", "cni", "default/gone", "eth0"))
ENDPOINTS = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: uplink}
spec: {node: h1, interfaceName: eth0, profiles: [projectcalico-default-allow]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: spare}
spec: {node: h1, interfaceName: eth9}
"""
SETTINGS = {
    "TORTIE_ETCD_TIMEOUT_SECONDS": "1",
    "FELIX_ENDPOINTREPORTINGENABLED": "true",
    "FELIX_ENDPOINTREPORTINGDELAYSECS": "0.05",
    "FELIX_REPORTINGINTERVALSECS": "0.5",
    "FELIX_REPORTINGTTLSECS": "2",
}


class Services(AgentServices):
    """Agents that find an etcd which programs outside the lab reach, too."""

    def __init__(self, topology: Topology, settings: Mapping[str, str]) -> None:
        super().__init__(topology, bird=False, settings=settings)
        self._whole = topology

    def start(self, place: Place) -> None:
        etcd = LabEtcd(self._whole)
        etcd.start()
        etcd.wait()
        asyncio.run(write(self._whole, initial_resources(self._whole)))
        super().start(place)


class Told:
    """A host of a lab on etcd, and what is told of it."""

    def __init__(self, lab: Lab, services: AgentServices) -> None:
        self.lab = lab
        self.services = services
        self.place = lab.place("h1")
        self.files = self.place.directory / "endpoint-status"

    def on_datastore(self, work: Callable[[Datastore], Awaitable[Result]]) -> Result:
        """Do something as another client of etcd."""

        async def run() -> Result:
            datastore = await open_datastore(location(self.lab.topology))
            try:
                return await work(datastore)
            finally:
                await datastore.close()

        return asyncio.run(run())

    def keys(self) -> dict[str, bytes]:
        """All status keys of all hosts."""

        async def read(datastore: Datastore) -> dict[str, bytes]:
            listings = [await datastore.list(prefix) for prefix in (REGIONS, HOST_ENDPOINTS)]
            return {one.key: one.value for listing in listings for one in listing.items}

        return self.on_datastore(read)

    def put(self, key: str, value: bytes) -> None:
        """Write a key as anybody may."""
        self.on_datastore(lambda datastore: datastore.put(key, value))

    def state(self, key: str) -> str:
        """How an endpoint is said to be; empty when nothing is said."""
        value = self.keys().get(key)
        return str(decode_endpoint_status(value).status) if value else ""

    def workload(self) -> str:
        """The key of the only workload, or nothing."""
        prefix = workload_status_prefix("", "h1")
        return next((key for key in self.keys() if key.startswith(prefix) and key != STALE), "")

    def liveness(self, key: str) -> Liveness | None:
        """What the host last said of itself."""
        value = self.keys().get(key)
        return decode_liveness(value) if value else None

    def said_again(self) -> bool:
        """Whether the host has said more than once that it lives."""
        said = self.liveness(LIVES)
        return said is not None and not said.first_update

    def problems(self) -> Sequence[str]:
        """What the agent says is not as it should be."""
        return ask(self.place.directory).problems

    def pid(self) -> int:
        """Of the agent."""
        return ask(self.place.directory).pid

    def run(self, where: str, *command: str) -> None:
        """Run a program that succeeds, on the host or in a workload."""
        done = self.lab.exec(where, command)
        assert done.returncode == 0, done.stderr

    def until(self, condition: Callable[[], object], what: str, patience: float = 20.0) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}; {self.keys()}"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The agent at work, with one workload and two host endpoints. Tests leave it as they find it."""
    directory = tmp_path_factory.mktemp("lab")
    bare = simple(f"s{os.getpid()}x90", 1, 0, str(directory), etcd=1)
    topology = msgspec.structs.replace(bare, workloads=(Workload("server", "h1"),))
    prefix = {"FELIX_ENDPOINTSTATUSPATHPREFIX": str(topology.host_directory("h1"))}
    services = Services(topology, SETTINGS | prefix)
    with Lab(topology, services, StaticRoutes(plugin(topology))) as lab:
        asyncio.run(write(topology, [load_resource(one) for one in read_documents(ENDPOINTS)]))
        one = Told(lab, services)
        one.until(lambda: one.workload() and one.state(UPLINK) and one.state(SPARE), "the agent tells of everything")
        yield one


def test_a_workload_is_told_of_once_it_is_programmed_follows_its_interface_and_goes(told: Told) -> None:
    key = told.workload()
    told.until(lambda: told.state(key) == "up", "the workload is up")
    (file,) = told.files.iterdir()
    assert file.name.count(" ") == 2
    assert f'"ifaceName":"{told.lab.attachment("server").interface}"' in file.read_text()
    told.run("server", "ip", "link", "set", "eth0", "down")
    told.until(lambda: told.state(key) == "down", "the workload is down")
    assert file.exists(), "its policy stands"
    told.run("server", "ip", "link", "set", "eth0", "up")
    told.until(lambda: told.state(key) == "up", "the workload is up again")
    addresses = told.lab.detach("server").addresses
    told.until(lambda: not told.workload() and not file.exists(), "nothing is said of a workload that is gone")
    told.lab.attach("server", "h1", addresses)
    told.until(lambda: told.state(told.workload()) == "up" and any(told.files.iterdir()), "it is there again")


def test_files_that_cannot_be_written_hold_up_no_workload_and_are_written_when_they_can_be(told: Told) -> None:
    addresses = told.lab.detach("server").addresses
    told.until(lambda: not any(told.files.iterdir()), "the file is gone")
    told.files.rmdir()
    told.files.write_text("in the way")
    told.lab.attach("server", "h1", addresses)
    told.until(lambda: told.state(told.workload()) == "up", "the workload is up")
    told.until(lambda: "files of endpoints cannot be written" in " ".join(told.problems()), "people are told")
    told.files.unlink()
    told.until(lambda: told.files.is_dir() and any(told.files.iterdir()) and not told.problems(), "all is well again")


def test_a_host_endpoint_follows_the_interface_that_it_guards(told: Told) -> None:
    assert told.state(UPLINK) == "up"
    assert told.state(SPARE) == "error"
    told.run("h1", "ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
    told.until(lambda: told.state(SPARE) == "down", "the interface is down")
    told.run("h1", "ip", "link", "set", "eth8", "up")
    told.run("h1", "ip", "link", "set", "eth9", "up")
    told.until(lambda: told.state(SPARE) == "up", "the interface is up")
    told.run("h1", "ip", "link", "delete", "eth9")
    told.until(lambda: told.state(SPARE) == "error", "the interface is gone")


def test_a_killed_agent_lives_no_longer_and_the_next_one_puts_right_what_it_finds(told: Told) -> None:
    told.until(told.said_again, "the host lives")
    key = told.workload()
    told.place.kill(AGENT)
    told.until(lambda: told.liveness(LIVES) is None, "the sign of life vanishes")
    last = told.liveness(LAST)
    assert last is not None
    assert (told.state(key), told.state(UPLINK)) == ("up", "up")
    for wrong in (STALE, THEIRS, UPLINK):
        told.put(wrong, b'{"status":"down"}')
    told.services.start_agent(told.place)
    told.lab.wait_ready(20)
    told.until(lambda: not told.state(STALE) and told.state(UPLINK) == "up", "what is not so is put right")
    assert told.state(THEIRS) == "down", "that of another host is not ours"
    told.until(told.said_again, "the host lives again")
    again = told.liveness(LAST)
    assert again is not None
    assert again.time >= last.time


def test_without_etcd_the_agent_goes_on_and_makes_up_for_what_was_not_said(told: Told) -> None:
    key, pid = told.workload(), told.pid()
    told.lab.etcd.kill()
    told.until(lambda: ask(told.place.directory).datastore.state == "unavailable", "the agent says so")
    told.run("server", "ip", "link", "set", "eth0", "down")
    told.lab.etcd.start()
    told.lab.etcd.wait()
    told.until(lambda: told.state(key) == "down", "what was missed is said")
    told.run("server", "ip", "link", "set", "eth0", "up")
    told.until(lambda: told.state(key) == "up", "and what comes then")
    told.until(lambda: told.liveness(LIVES) is not None, "the host lives")
    assert told.pid() == pid
