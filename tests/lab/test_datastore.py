"""A lab on etcd: members are hosts, found again and ended by anyone, and its datastore is reached from outside."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tortie.agent.client import ask
from tortie.base.errors import InvalidResource, Unavailable
from tortie.datastore.open import open_datastore
from tortie.lab import fabric, processes
from tortie.lab.assembly import assemble, in_process
from tortie.lab.cluster import initial_resources, location, write
from tortie.lab.datastore import RELAY, LabEtcd, make_datastore, urls_inside
from tortie.lab.lab import Lab
from tortie.lab.topology import Host, Topology

KILLED_ON_THE_WAY = """
import os, signal, sys
import msgspec
from tortie.lab.datastore import make_datastore
from tortie.lab.lab import Lab
from tortie.lab.topology import Topology

topology = msgspec.json.decode(sys.argv[1], type=Topology)

class Deadly:
    def start(self, place):
        make_datastore(topology)
        os.kill(os.getpid(), signal.SIGKILL)

Lab(topology, Deadly()).up()
"""


def on_etcd(topology: Topology, members: int, workloads: bool = False) -> Topology:
    """The same lab with an etcd."""
    return msgspec.structs.replace(topology, etcd=members, workloads=topology.workloads if workloads else ())


def test_members_have_names_and_addresses_that_no_host_may_take(topology: Topology) -> None:
    three = on_etcd(topology, 3)
    assert [one.name for one in three.members] == ["etcd1", "etcd2", "etcd3"]
    assert urls_inside(three) == "http://172.31.0.253:2379,http://172.31.0.252:2379,http://172.31.0.251:2379"
    assert three.datastore == ",".join(three.etcd_urls)
    assert topology.members == ()
    assert urls_inside(topology) == topology.datastore
    for host in (Host("etcd1", ("172.31.0.9",)), Host("h9", ("172.31.0.253",))):
        with pytest.raises(InvalidResource, match=r"reserved|belongs to a member of etcd"):
            msgspec.structs.replace(three, hosts=(host,))
    with pytest.raises(InvalidResource, match="up to 7"):
        on_etcd(topology, 9)
    with pytest.raises(InvalidResource, match="need an IPv4 subnet"):
        Topology("x", (), subnets=("fd00:31::/64",), etcd=1)


@pytest.mark.kernel
async def test_members_are_killed_and_started_by_name_and_nothing_is_left(topology: Topology) -> None:
    topology = on_etcd(topology, 1)
    lab = Lab(topology)
    try:
        lab.up()
        await asyncio.to_thread(make_datastore, topology)
        found = Lab.find(topology.name, directory=topology.directory)
        assert found.status().members == {"etcd1": True}
        assert found.exec("etcd1", ["ip", "-4", "-o", "addr", "show", "eth0"]).stdout.count("172.31.0.253/24") == 1
        found.kill_services("etcd1")
        assert lab.status().members == {"etcd1": False}
        found.start_services("etcd1")
        found.etcd.wait()
        assert (lab.status().members, lab.etcd.leader()) == ({"etcd1": True}, "etcd1")
        datastore = await open_datastore(location(topology))
        assert (await datastore.list("/calico/")).items
        await datastore.close()
        found.stop_services("etcd1")
        assert lab.status().members == {"etcd1": False}
    finally:
        recorded = lab.state().processes
        lab.down()
    assert {one.name for one in recorded} == {"etcd1", RELAY}
    assert not any(map(processes.is_alive, recorded))
    assert not topology.run_directory.exists()


@pytest.mark.kernel
def test_what_a_killed_process_had_started_is_found_and_ended(topology: Topology) -> None:
    topology = on_etcd(topology, 1)
    done = subprocess.run([sys.executable, "-c", KILLED_ON_THE_WAY, msgspec.json.encode(topology)], check=False)
    assert done.returncode == -signal.SIGKILL
    lab = Lab.find(topology.name, directory=topology.directory)
    assert lab.status().members == {"etcd1": True}
    inhabitants = processes.inhabitants(fabric.namespaces(topology))
    assert len(inhabitants) == 2, "the member and the relay"
    lab.down()
    assert all(processes.start_time(pid) is None for pid in inhabitants)
    assert fabric.namespaces(topology) == []


@pytest.mark.kernel
def test_a_lab_without_its_record_ends_its_members_all_the_same(topology: Topology) -> None:
    topology = on_etcd(topology, 1)
    lab = Lab(topology)
    try:
        lab.up()
        LabEtcd(topology).start()
        (topology.run_directory / "state.json").unlink()
    finally:
        lab.down()
    assert fabric.namespaces(topology) == []


@pytest.mark.kernel
def test_agents_in_this_process_and_real_ones_work_on_etcd(topology: Topology) -> None:
    topology = on_etcd(topology, 1, workloads=True)
    with in_process(topology) as (lab, _):
        assert all(outcome.allowed for matrix in lab.matrix() for outcome in matrix.outcomes.values())
        report = ask(lab.place("h1").directory).datastore
        assert (report.place, report.state) == (topology.datastore, "in sync")
    with assemble(topology, bird=False) as real:
        report = ask(real.place("h1").directory).datastore
        assert (report.place, report.state) == (urls_inside(topology), "in sync")


@pytest.mark.kernel
async def test_a_write_to_an_etcd_that_is_away_says_so(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = on_etcd(topology, 1)
    hasty = msgspec.structs.replace(location(topology), timeout=0.2)  # type: ignore[type-var]  # it is etcd's
    monkeypatch.setattr("tortie.lab.cluster.location", lambda _: hasty)
    with pytest.raises(Unavailable):
        await write(topology, initial_resources(topology))
    assert not any(Path(topology.directory).iterdir())  # noqa: ASYNC240  # nothing else runs here
