"""Services: the shipped programs on each host, and what becomes of an agent that dies inside this process."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tortie.agent.client import ask
from tortie.base.errors import AlreadyExists
from tortie.cni.configuration import NetworkConfig
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.lab import processes
from tortie.lab.cluster import initial_resources, write
from tortie.lab.lab import Lab
from tortie.lab.services import AGENT, BIRD, AgentServices, InProcessServices, cni_config
from tortie.lab.topology import Topology


def empty(topology: Topology) -> Topology:
    return msgspec.structs.replace(topology, workloads=(), hosts=topology.hosts[:1])


def test_a_new_labs_datastore_has_nodes_pools_and_namespaces(topology: Topology) -> None:
    names = [(one.key.kind, one.key.name) for one in initial_resources(topology)]
    assert names == [
        ("BGPConfiguration", "default"),
        ("IPPool", "pool4"),
        ("IPPool", "pool6"),
        ("Node", "h1"),
        ("Node", "h2"),
        ("Profile", "kns.default"),
    ]


def test_a_runtime_on_a_host_asks_that_hosts_agent(topology: Topology) -> None:
    config = cni_config(topology, topology.host("h2"))
    assert config["socket"] == str(topology.host_directory("h2") / "cni.sock")
    assert msgspec.json.decode(json.dumps(config), type=NetworkConfig).name == "lab"


@pytest.mark.kernel
def test_agent_and_bird_are_processes_that_end_alone_and_together(topology: Topology) -> None:
    topology = empty(topology)
    services = AgentServices(topology, settings={"TORTIE_HEALTH_PORT": "0", "TORTIE_LOG_LEVEL": "debug"})
    with Lab(topology, services) as lab:
        place = lab.place("h1")
        agent = next(one for one in lab.state().processes if one.name == AGENT)
        assert (ask(place.directory).node, ask(place.directory).pid) == ("h1", agent.pid)
        environment = Path(f"/proc/{agent.pid}/environ").read_text()
        assert "TORTIE_LOG_LEVEL=debug" in environment
        assert f"TORTIE_BIRD_DIRECTORY={place.directory}/bird" in environment
        with pytest.raises(AlreadyExists):
            services.start_agent(place)
        services.start(place)
        assert next(one for one in lab.state().processes if one.name == AGENT) == agent, "what runs is left alone"
        lab.kill_services("h1")
        assert (place.alive(AGENT), place.alive(BIRD)) == (False, True)
        assert not processes.is_alive(agent)
        lab.start_services("h1")
        assert (place.alive(AGENT), place.alive(BIRD)) == (True, True)
        lab.wait_ready()
        lab.stop_services("h1")
        assert (place.alive(AGENT), place.alive(BIRD)) == (False, False)


@pytest.mark.kernel
def test_what_an_agent_in_this_process_dies_of_is_raised(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab that waits for a dead agent would wait in vain."""
    topology = empty(topology)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tortie.agent.daemon.Calculation", broken)
    services = InProcessServices(topology)
    lab = Lab(topology, services)
    try:
        with pytest.raises(ExceptionGroup) as caught:
            lab.up(10)
        assert "ZeroDivisionError" in repr(caught.value)
    finally:
        with pytest.raises(ExceptionGroup):
            services.close()
        services.close()
        lab.down()


@pytest.mark.kernel
def test_an_agent_in_this_process_waits_for_a_datastore_that_cannot_be_opened_and_can_be_ended_while_it_waits(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = empty(topology)
    services = InProcessServices(topology, {"TORTIE_DATASTORE": topology.directory})
    lab = Lab(topology, services)
    try:
        with pytest.raises(Exception, match="not ready"):
            lab.up(0.3)
        report = ask(lab.place("h1").directory)
        assert topology.directory in report.delayed
        assert not report.ready
    finally:
        services.close()
        lab.down()


async def test_writing_what_is_there_already_changes_nothing(topology: Topology) -> None:
    topology.run_directory.mkdir(parents=True)
    revisions = []
    for _ in range(2):
        await write(topology, initial_resources(topology))
        datastore = await EmbeddedDatastore.open(Path(topology.datastore))
        revisions.append((await datastore.list("")).revision)
        await datastore.close()
    assert revisions[0] == revisions[1]
