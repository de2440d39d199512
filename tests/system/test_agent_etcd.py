"""Agents on an etcd of three members: what changes reaches packets, and no fault of etcd cuts or opens anything."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.agent.status import AgentReport
from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import TortieError, Unavailable
from tortie.datastore.contract import Datastore
from tortie.datastore.migration import set_ready
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.lab import processes
from tortie.lab.cluster import location
from tortie.lab.etcd import PEER_PORT
from tortie.lab.probe.model import Transport
from tortie.lab.probe.watch import FIRST_ALLOWED, Watch
from tortie.lab.services import AGENT
from tortie.lab.workload import PluginFailed
from tortie.selector.check import selector_problem

pytestmark = pytest.mark.system

World = Any

HOSTS = ("h1", "h2", "h3")
LET_IN_KEY = ResourceKey("GlobalNetworkPolicy", "", "let-in")
MOST_SECONDS = 120.0


def let_in(selector: str) -> str:
    """A policy that lets others into the server too."""
    return f"""
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: let-in}}
spec:
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - {{action: Allow, protocol: TCP, source: {{selector: "{selector}"}}, destination: {{ports: [8080]}}}}
"""


@pytest.fixture
def world(etcd_world: World) -> Iterator[World]:
    """The lab with everything alive, and afterwards the policy as it was."""
    etcd_world.lab.etcd.start()
    etcd_world.lab.etcd.wait()
    for host in HOSTS:
        if not etcd_world.lab.place(host).alive(AGENT):
            etcd_world.start(host, wait=False)
    etcd_world.lab.wait_ready(30)
    etcd_world.until(
        lambda: all(state(etcd_world, host) == "in sync" for host in HOSTS), "all agents are in sync", patience=45
    )
    yield etcd_world
    etcd_world.lab.etcd.start()
    etcd_world.lab.etcd.wait()
    etcd_world.delete(LET_IN_KEY)


def report(world: World, host: str = "h1") -> AgentReport:
    """What an agent says; an empty report while there is none."""
    try:
        found = world.report(host)
        assert isinstance(found, AgentReport)
        return found
    except Unavailable:
        return AgentReport(host, "", 0, 0, False)


def state(world: World, host: str = "h1") -> str:
    """How an agent sees its datastore."""
    return report(world, host).datastore.state


def gets_in(world: World) -> bool:
    """Whether the stranger reaches the server's other port, which only `let_in` opens."""
    probe = msgspec.structs.replace(world.probe("stranger", "server"), port=8080)
    return bool(world.lab.probe(probe)[0].allowed)


def takes_effect(world: World, selector: str, wanted: bool) -> None:
    """Write a policy, and wait until packets tell."""
    world.apply(let_in(selector))
    world.until(lambda: gets_in(world) == wanted, f"{selector} decides")


@contextmanager
def nothing_cut_and_nothing_opened(world: World) -> Iterator[None]:
    """Flows that policy allows, of both families, live through the block; what it denies is never let in."""
    prober = world.lab.prober
    allowed = [
        prober.stream(world.probe("client", "server", 4, Transport.TCP), 0.005),
        prober.stream(world.probe("client", "server", 6, Transport.UDP), 0.005),
        prober.stream(world.probe("stranger", "neighbour", 4, Transport.ICMP), 0.005),
    ]
    watch = Watch(FIRST_ALLOWED.until, interval=0.01, within=MOST_SECONDS)
    denied = [prober.watch(world.probe("stranger", "server", family), watch) for family in (4, 6)]
    try:
        yield
    finally:
        reports = [one.stop() for one in allowed]
        opened = [one.result() if one.done() else None for one in denied]
        for one in denied:
            one.cancel()
    assert opened == [None, None]
    assert [(one.lost, one.broken) for one in reports] == [(0, "")] * 3, [str(one) for one in reports]


def with_datastore(world: World, work: Callable[[Datastore], Any]) -> Any:
    """Do something on the lab's datastore."""

    async def run() -> Any:
        datastore = await open_datastore(location(world.lab.topology))
        try:
            return await work(datastore)
        finally:
            await datastore.close()

    return asyncio.run(run())


def lock(world: World, ready: bool) -> None:
    """As `tortie datastore migrate lock` and `unlock` do."""
    with_datastore(world, lambda store: set_ready(ResourceStore(store, SystemClock(), selector_problem), ready))


def etcdctl(world: World, *arguments: str) -> str:
    """What etcd's own tool prints, asked of the first member unless the arguments need none."""
    command = ["etcdctl", f"--endpoints={world.lab.topology.etcd_urls[0]}", *arguments]
    done = subprocess.run(command, env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(world: World, workload: str, host: str) -> str:
    """What a runtime is told that wants to attach a workload."""
    with pytest.raises(PluginFailed) as caught:
        world.lab.attach(workload, host)
    assert re.search(r'"code": ?11\b', str(caught.value)), str(caught.value)
    return str(caught.value)


def spooled(world: World, host: str = "h1") -> list[Path]:
    """DELs that wait for the datastore."""
    folder = world.lab.place(host).directory / "cni-spool"
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []


def test_policy_reaches_packets_while_members_die_one_after_the_other(world: World) -> None:
    etcd = world.lab.etcd
    with nothing_cut_and_nothing_opened(world):
        takes_effect(world, "role == 'stranger'", True)
        takes_effect(world, "role == 'nobody'", False)
        etcd.kill(etcd.leader())
        takes_effect(world, "role == 'stranger'", True)
        etcd.start()
        etcd.wait()
        etcd.kill(next(name for name in etcd.names if name != etcd.leader()))
        takes_effect(world, "role == 'nobody'", False)
    assert all(state(world, host) == "in sync" for host in HOSTS)


def test_without_any_member_all_stays_as_it_is_and_what_was_missed_is_made_up_for(world: World) -> None:
    """New workloads are to come later, those that go are remembered, by the agent that was there and by a new one."""
    etcd, pids = world.lab.etcd, [world.pid(host) for host in HOSTS[1:]]
    with nothing_cut_and_nothing_opened(world):
        etcd.kill()
        world.until(lambda: all(state(world, host) == "unavailable" for host in HOSTS), "all agents say so")
        assert report(world).ready, "what runs goes on"
        assert "stays in force" in report(world).problems[0]
        before, gone = world.ruleset(), world.lab.detach("leaver")
        assert len(spooled(world)) == 1
        assert "does not answer" in refused(world, "leaver", "h1")
        world.kill("h1")
        world.start("h1", wait=False)
        world.until(lambda: state(world) == "unavailable", "the new agent says so")
        assert not report(world).ready
        assert "does not answer" in refused(world, "leaver", "h1")
        assert world.ruleset() == before
        etcd.start()
        etcd.wait()
        world.until(lambda: all(state(world, host) == "in sync" for host in HOSTS), "all agents are back")
        takes_effect(world, "role == 'stranger'", True)
        world.until(lambda: not spooled(world), "the spool is carried out")
        assert gone.interface not in world.run("ip", "link")
        world.lab.attach("leaver", "h1", gone.addresses)
        assert world.reaches("stranger", "leaver")
    assert [world.pid(host) for host in HOSTS[1:]] == pids


def test_a_locked_datastore_is_not_carried_out_and_takes_no_workloads_until_it_is_unlocked(world: World) -> None:
    attachment = world.lab.detach("leaver")
    try:
        lock(world, False)
        world.until(lambda: state(world) == "locked", "the agent says so")
        world.apply(let_in("role == 'stranger'"))
        assert "locked" in refused(world, "leaver", "h1")
        world.kill("h3")
        world.start("h3", wait=False)
        world.until(lambda: state(world, "h3") == "locked", "the new agent says so")
        assert not report(world, "h3").ready
        assert not gets_in(world)
    finally:
        lock(world, True)
        world.lab.wait_ready(20)
        world.until(lambda: state(world) == "in sync", "the agent goes on")
        world.lab.attach("leaver", "h1", attachment.addresses)
    world.until(lambda: gets_in(world), "what was written meanwhile is in force")


def test_what_was_compacted_away_while_an_agent_stood_still_is_read_again(world: World) -> None:
    agent = next(
        one for one in world.lab.state().processes if (one.place, one.name) == ("h1", AGENT) and processes.is_alive(one)
    )
    with nothing_cut_and_nothing_opened(world):
        processes.pause(agent)
        try:
            for number in range(20):
                world.apply(let_in(f"role == 'number-{number}'"))
            world.apply(let_in("role == 'stranger'"))
            for url in world.lab.topology.etcd_urls:
                revision = with_datastore(world, lambda one: one.list("")).revision
                with_datastore(world, lambda one, to=revision: one.compact(to))
                etcdctl(world, f"--endpoints={url}", "defrag")
        finally:
            processes.resume(agent)
        world.until(lambda: gets_in(world), "the newest is in force")
    assert world.pid() == agent.pid


def test_agents_follow_an_etcd_that_is_set_back_and_let_an_empty_one_change_nothing(
    world: World, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    etcdctl(world, "snapshot", "save", str(backup))
    takes_effect(world, "role == 'stranger'", True)
    for number in range(20):
        world.apply(let_in(f"role in {{'stranger', 'number-{number}'}}"))
    data = [world.lab.etcd.directory / name / "data" for name in world.lab.etcd.names]
    with nothing_cut_and_nothing_opened(world):
        world.lab.etcd.kill()
        for folder in data:
            shutil.rmtree(folder)
        world.lab.etcd.start()
        world.lab.etcd.wait()
        world.until(lambda: all(state(world, host) == "locked" for host in HOSTS), "all agents see that it is empty")
        assert "was ever written" in report(world).datastore.problem
        assert gets_in(world), "an etcd without anything changes nothing"
        world.lab.etcd.kill()
        for folder in data:
            shutil.rmtree(folder)
            restore(world, backup, folder)
        world.lab.etcd.start()
        world.lab.etcd.wait()
        world.until(lambda: all(state(world, host) == "in sync" for host in HOSTS), "all agents follow")
        world.until(lambda: not gets_in(world), "what the backup holds is in force")
        takes_effect(world, "role == 'stranger'", True)


def restore(world: World, backup: Path, folder: Path) -> None:
    """Make a member's data of a backup, as etcd's manual says."""
    peers = {one.name: f"http://{one.addresses[0]}:{PEER_PORT}" for one in world.lab.topology.members}
    name = folder.parent.name
    etcdctl(
        world,
        "snapshot",
        "restore",
        str(backup),
        f"--name={name}",
        f"--data-dir={folder}",
        f"--initial-cluster={','.join(f'{peer}={url}' for peer, url in peers.items())}",
        f"--initial-advertise-peer-urls={peers[name]}",
    )


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_deaths_of_members_and_agents_cuts_and_opens_nothing(world: World, seed: int) -> None:
    chance = random.Random(seed)
    etcd = world.lab.etcd
    with nothing_cut_and_nothing_opened(world):
        end = time.monotonic() + MOST_SECONDS * 0.75
        while time.monotonic() < end:
            match chance.randrange(4):
                case 0:
                    etcd.kill(*chance.sample(list(etcd.names), chance.randint(1, 3)))
                case 1:
                    etcd.start()
                case 2:
                    host = chance.choice(HOSTS)
                    world.kill(host)
                    world.start(host, wait=False)
                case _:
                    with suppress(TortieError):
                        world.apply(let_in(f"role == 'number-{chance.randrange(100)}'"))
            time.sleep(chance.uniform(0, 2))
        etcd.start()
        etcd.wait()
        takes_effect(world, "role == 'stranger'", True)
    world.lab.wait_ready(30)
