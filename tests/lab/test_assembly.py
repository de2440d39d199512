"""Labs with agents: in this process, and found again as they were put up."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tortie.agent.client import ask, is_ready
from tortie.base.clock import SystemClock
from tortie.base.errors import AlreadyExists, Unavailable
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.migration import set_ready
from tortie.datastore.resources import ResourceStore
from tortie.lab import fabric
from tortie.lab.assembly import assemble, find, in_process
from tortie.lab.probe.matrix import EVERY_TRANSPORT
from tortie.lab.probe.model import Probe
from tortie.lab.services import AGENT, BIRD, InProcessServices
from tortie.lab.topology import Topology, Workload, simple
from tortie.selector.check import selector_problem

pytestmark = pytest.mark.kernel


@pytest.fixture
def three_hosts(topology: Topology) -> Topology:
    """As the usual one, with a host and a workload more."""
    bare = simple(topology.name, 3, 1, topology.directory)
    return msgspec.structs.replace(bare, workloads=(*bare.workloads, Workload("w4", "h1")))


async def set_locked(file: str, *, locked: bool) -> None:
    """Lock or unlock the datastore of a lab, as an operator does."""
    datastore = await EmbeddedDatastore.open(Path(file))
    await set_ready(ResourceStore(datastore, SystemClock(), selector_problem), not locked)
    await datastore.close()


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        threading.Event().wait(0.01)


def open_files() -> list[str]:
    """What this process has open, but for what the test runner's own output needs."""
    gc.collect()
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(path.readlink()).split(":")[0])
        except FileNotFoundError:
            continue
    return sorted(found)


def test_a_lab_in_this_process_attaches_polices_and_routes_and_leaves_nothing(three_hosts: Topology) -> None:
    threads, files = threading.enumerate(), open_files()
    with in_process(three_hosts) as (lab, _):
        matrices = lab.matrix(EVERY_TRANSPORT)
        assert all(outcome.allowed for matrix in matrices for outcome in matrix.outcomes.values())
        report = ask(lab.place("h1").directory)
        assert (report.node, report.endpoints, report.pid) == ("h1", 2, os.getpid())
        assert "tortie" in lab.exec("h1", ["nft", "list", "tables"]).stdout
    assert threading.enumerate() == threads
    assert open_files() == files
    assert fabric.namespaces(three_hosts) == []
    assert not three_hosts.run_directory.exists()


def test_an_agent_in_this_process_ends_and_starts_again_without_a_cut(three_hosts: Topology) -> None:
    with in_process(three_hosts) as (lab, _):
        probe = Probe("w2", lab.attachment("w1").addresses[0])
        with lab.prober.stream(probe) as stream:
            before = lab.exec("h1", ["nft", "-s", "-a", "list", "table", "inet", "tortie"]).stdout
            with pytest.raises(AlreadyExists):
                lab.start_services("h1")
            lab.stop_services("h1")
            lab.stop_services("h1")
            assert not is_ready(lab.place("h1").directory)
            lab.start_services("h1")
            lab.wait_ready()
            assert lab.exec("h1", ["nft", "-s", "-a", "list", "table", "inet", "tortie"]).stdout == before
            report = stream.stop()
        assert (report.lost, report.broken) == (0, "")
        assert not any(one.operations for one in ask(lab.place("h1").directory).targets)


def test_agents_end_with_no_task_left_even_in_the_middle_of_their_start(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = msgspec.structs.replace(topology, workloads=())
    left: list[str] = []
    stop = asyncio.BaseEventLoop.stop

    def stopped(loop: asyncio.BaseEventLoop) -> None:
        left.extend(str(task) for task in asyncio.all_tasks(loop))
        stop(loop)

    monkeypatch.setattr(asyncio.BaseEventLoop, "stop", stopped)
    with in_process(bare) as (lab, _):
        for delay in (0.0, 0.005, 0.02, 0.05):
            lab.stop_services("h1")
            lab.start_services("h1")
            threading.Event().wait(delay)
    assert left == []


def test_while_the_datastore_is_locked_a_workload_stays_where_it_is(three_hosts: Topology) -> None:
    with in_process(three_hosts) as (lab, _):
        before = lab.attachment("w1")
        asyncio.run(set_locked(three_hosts.datastore, locked=True))
        until(lambda: ask(lab.place("h3").directory).datastore.state == "locked")
        with pytest.raises(
            Unavailable, match="h3 takes no workload now, so nothing was moved: its datastore is locked"
        ):
            lab.move("w1", "h3")
        assert lab.attachment("w1") == before
        asyncio.run(set_locked(three_hosts.datastore, locked=False))
        until(lambda: ask(lab.place("h3").directory).datastore.state == "in sync")
        assert lab.move("w1", "h3").addresses == before.addresses


def test_a_workload_in_a_lab_in_this_process_moves_with_its_addresses(three_hosts: Topology) -> None:
    with in_process(three_hosts) as (lab, _):
        before = lab.attachment("w1")
        for host in ("h3", "h1"):
            after = lab.move("w1", host)
            assert (after.host, after.addresses) == (host, before.addresses)
            outcomes = lab.probe(*(Probe(source, one) for one in after.addresses for source in ("w2", "w3", "w4")))
            assert [one.allowed for one in outcomes] == [True] * 6


def test_a_lab_is_found_again_with_the_services_it_was_put_up_with(topology: Topology) -> None:
    bare = msgspec.structs.replace(topology, workloads=())
    with assemble(bare, bird=False) as lab:
        found = find(topology.name, Path(topology.directory))
        assert found.topology == bare
        found.stop_services("h1")
        found.start_services("h1")
        found.wait_ready()
        assert not lab.place("h1").alive(BIRD)
        assert lab.place("h1").alive(AGENT)


def test_a_second_agent_on_a_host_waits_until_the_first_has_ended(topology: Topology) -> None:
    """An upgrade may start the new one before the old one has ended."""
    bare = msgspec.structs.replace(topology, workloads=())
    with in_process(bare) as (lab, _), closing(InProcessServices(bare)) as others:
        others.start(lab.place("h1"))
        assert ask(lab.place("h1").directory).ready
        assert not others.ready(lab.place("h1"))
        lab.stop_services("h1")
        while not others.ready(lab.place("h1")):
            threading.Event().wait(0.02)
        assert ask(lab.place("h1").directory).ready
