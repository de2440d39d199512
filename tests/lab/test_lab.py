"""Labs come up, are found again, and go without a trace, whatever state they were left in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tortie.base.errors import AlreadyExists, Conflict, NotFound, Unavailable
from tortie.lab import fabric, processes
from tortie.lab.lab import Lab
from tortie.lab.place import Place
from tortie.lab.probe.model import Probe
from tortie.lab.state import State
from tortie.lab.topology import Topology

pytestmark = pytest.mark.kernel

KILLED_ON_THE_WAY = """
import os, signal, sys
import msgspec
from tortie.lab.lab import Lab
from tortie.lab.topology import Topology

class Deadly:
    def start(self, place):
        place.start("sleeper", ["sleep", "600"])
        if place.host.name == "h2":
            os.kill(os.getpid(), signal.SIGKILL)
    def ready(self, place):
        return True

Lab(msgspec.json.decode(sys.argv[1], type=Topology), Deadly()).up()
"""


class Sleepers:
    """Services that only sleep."""

    def start(self, place: Place) -> None:
        place.start("sleeper", ["sleep", "600"])

    def stop(self, place: Place) -> None:
        place.stop("sleeper")

    def kill(self, place: Place) -> None:
        place.kill("sleeper")

    def ready(self, place: Place) -> bool:
        return place.alive("sleeper")

    def hindrance(self, place: Place) -> str:
        return "" if place.alive("sleeper") else "its sleeper is away"


def links() -> str:
    """The devices of this machine itself."""
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def test_down_leaves_no_trace(topology: Topology) -> None:
    before = links()
    lab = Lab(topology, Sleepers())
    lab.up()
    assert len(fabric.namespaces(topology)) == 5
    lab.probe(Probe("w1", "10.65.0.2"))
    pids = [one.pid for one in lab.state().processes]
    lab.down()
    assert fabric.namespaces(topology) == []
    assert not topology.run_directory.exists()
    assert [processes.start_time(pid) for pid in pids] == [None, None]
    assert links() == before


def test_down_of_what_is_not_up_is_no_error(topology: Topology) -> None:
    Lab(topology).down()
    Lab(topology).down()


def test_a_lab_killed_on_its_way_up_is_taken_down(down_lab: Lab) -> None:
    topology = down_lab.topology
    argument = msgspec.json.encode(topology).decode()
    killed = subprocess.run([sys.executable, "-c", KILLED_ON_THE_WAY, argument], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    started = down_lab.state().processes
    assert [processes.is_alive(one) for one in started] == [True, True]
    Lab.find(topology.name, directory=topology.directory).down()
    assert [processes.is_alive(one) for one in started] == [False, False]
    assert fabric.namespaces(topology) == []
    assert not topology.run_directory.exists()


def test_down_ends_processes_that_nobody_recorded_and_needs_no_state_file(down_lab: Lab) -> None:
    down_lab.up()
    namespace, log = down_lab.namespace("h1"), Path(down_lab.topology.directory) / "log"
    stray = processes.start("stray", "h1", namespace, ["sleep", "600"], log, os.environ)
    (down_lab.topology.run_directory / "state.json").unlink()
    down_lab.down()
    assert not processes.is_alive(stray)
    assert fabric.namespaces(down_lab.topology) == []


def test_a_lab_that_is_up_is_not_put_up_again(lab: Lab) -> None:
    with pytest.raises(Conflict):
        Lab(lab.topology).up()


def test_another_process_finds_the_lab_and_what_is_attached(lab: Lab) -> None:
    found = Lab.find(lab.topology.name, directory=lab.topology.directory)
    assert found.topology == lab.topology
    assert found.attachment("w1") == lab.attachment("w1")
    assert len(found.matrix()[0].allowed()) == 2
    found.close()


def test_a_lab_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Lab.find("nothing", directory=str(tmp_path))


def test_services_are_stopped_killed_and_started_per_host(topology: Topology) -> None:
    with Lab(topology, Sleepers()) as lab:
        assert [one.processes for one in lab.status().hosts] == [{"sleeper": True}] * 2
        lab.kill_services("h1")
        lab.stop_services("h2")
        assert [one.ready for one in lab.status().hosts] == [False, False]
        lab.start_services("h1")
        assert [one.ready for one in lab.status().hosts] == [True, False]
        with pytest.raises(AlreadyExists):
            lab.start_services("h1")


def test_a_moved_workload_keeps_its_addresses_and_is_reached_at_its_new_host(lab: Lab) -> None:
    before = lab.attachment("w2")
    after = lab.move("w2", "h1")
    assert (before.host, after.host) == ("h2", "h1")
    assert after.addresses == before.addresses
    assert all(one.allowed for one in lab.probe(*(Probe("w1", address) for address in after.addresses)))
    assert after.interface not in lab.exec("h2", ["ip", "-o", "link"]).stdout


def test_a_move_that_cannot_succeed_is_not_begun(topology: Topology) -> None:
    with Lab(topology, Sleepers()) as lab:
        before = lab.attachment("w2")
        lab.kill_services("h1")
        with pytest.raises(Unavailable, match="host h1 takes no workload now, so nothing was moved: its sleeper is"):
            lab.move("w2", "h1")
        assert lab.attachment("w2") == before
        assert before.interface in lab.exec("h2", ["ip", "-o", "link"]).stdout


def test_a_detached_workload_is_not_reached_and_can_be_attached_again(lab: Lab) -> None:
    lab.detach("w2")
    assert not lab.probe(Probe("w1", "10.65.0.2"))[0].allowed
    with pytest.raises(NotFound):
        lab.detach("w2")
    lab.attach("w2")
    assert lab.probe(Probe("w1", "10.65.0.2"))[0].allowed
    with pytest.raises(Conflict):
        lab.attach("w2")


def test_exec_runs_in_the_namespace_that_is_named(lab: Lab) -> None:
    assert "172.31.0.1/24" in lab.exec("h1", ["ip", "addr"]).stdout
    assert "10.65.0.1/32" in lab.exec("w1", ["ip", "addr"]).stdout
    assert "172.31.0.254/24" in lab.exec("fabric", ["ip", "addr"]).stdout
    assert lab.exec("h1", ["false"]).returncode == 1
    with pytest.raises(NotFound):
        lab.exec("h9", ["true"])


def test_a_host_routes_to_the_gateway_address_of_workloads(lab: Lab) -> None:
    assert "dev eth0" in lab.exec("h1", ["ip", "route", "get", "169.254.1.1"]).stdout


def test_state_survives_json(lab: Lab) -> None:
    state = lab.state()
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
