"""A change that nobody confirms is taken back on every node, by packets' word, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.datastore import pending as trials
from tortie.datastore.contract import Datastore
from tortie.datastore.journal import read_history
from tortie.datastore.keys import resource_key
from tortie.datastore.open import open_datastore
from tortie.lab.cluster import location
from tortie.lab.services import AGENT

pytestmark = pytest.mark.system

World = Any
HOSTS = ("h1", "h2", "h3")
SERVER = ResourceKey("GlobalNetworkPolicy", "", "server")
OPEN = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: server}
spec:
  selector: role == 'server'
  types: [Ingress]
  ingress: [{action: Allow}]
"""
SECONDS = 8
PATIENCE = 40.0


def with_datastore(world: World, work: Callable[[Datastore], Any]) -> Any:
    async def run() -> Any:
        datastore = await open_datastore(location(world.lab.topology))
        try:
            return await work(datastore)
        finally:
            await datastore.close()

    return asyncio.run(run())


def stored(world: World) -> bytes:
    found = with_datastore(world, lambda datastore: datastore.get(resource_key(SERVER)))
    assert found is not None
    return bytes(found.value)


def pending(world: World) -> list[trials.Standing]:
    found: list[trials.Standing] = with_datastore(world, trials.read_pending)
    return found


def is_open(world: World) -> bool:
    """Whether the neighbour, on the server's own host, gets in."""
    return bool(world.reaches("neighbour", "server"))


@pytest.fixture
def world(etcd_world: World) -> Iterator[World]:
    """The lab with everything alive and nothing pending, and afterwards again."""
    yield revived(etcd_world)
    revived(etcd_world)
    for one in pending(etcd_world):
        tortie(etcd_world, "confirm", one.pending.change, "--reject").wait()


def cut(world: World) -> None:
    """Nothing goes through the link of the first host any more."""
    hooks = (("prerouting", "iif"), ("output", "oif"))
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority -400; {side}name eth0 drop; }}; " for hook, side in hooks
    )
    world.run("nft", f"table inet tt_cut {{ {chains} }}")
    assert "eth0" in world.run("nft", "list", "table", "inet", "tt_cut")


def uncut(world: World) -> None:
    world.run("nft", "table inet tt_cut; delete table inet tt_cut")


def revived(world: World) -> World:
    uncut(world)
    world.lab.etcd.start()
    world.lab.etcd.wait()
    for host in HOSTS:
        if not world.lab.place(host).alive(AGENT):
            world.start(host, wait=False)
    world.lab.wait_ready(30)
    world.until(lambda: not is_open(world), "the server is closed", PATIENCE)
    return world


def tortie(world: World, *words: str, text: str = "") -> subprocess.Popen[str]:
    """The command, running."""
    program = Path(sys.executable).with_name("tortie")
    environment = {**os.environ, "TORTIE_DATASTORE": ",".join(world.lab.topology.etcd_urls)}
    process = subprocess.Popen(
        [str(program), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    return process


def applied(world: World, *words: str) -> subprocess.Popen[str]:
    """`apply --confirm` that was seen in force, waiting for its confirmation."""
    process = tortie(world, "apply", "-f", "-", "--confirm", f"{SECONDS}s", *words, text=OPEN)
    world.until(lambda: is_open(world) or process.poll() is not None, "the change is in force", PATIENCE)
    assert process.poll() is None, process.stdout and process.stdout.read()
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def ends_as_before(world: World, before: bytes) -> None:
    world.until(lambda: not is_open(world), "the node has gone back", PATIENCE)
    world.until(lambda: not pending(world), "the datastore has gone back", PATIENCE)
    assert stored(world) == before
    assert not is_open(world)
    assert world.reaches("client", "server")


def test_what_nobody_confirms_is_taken_back(world: World) -> None:
    before = stored(world)
    process = applied(world)
    assert process.wait(PATIENCE) == 1
    ends_as_before(world, before)


def test_a_command_that_was_killed_changes_nothing_of_it(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    ends_as_before(world, before)
    last = with_datastore(world, read_history)[-1].record
    assert last.program == "tortie-agent"


def test_nodes_go_back_while_the_datastore_is_away(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    world.lab.etcd.kill()
    world.until(lambda: not is_open(world), "the node has gone back", PATIENCE)
    assert "was not confirmed in time" in " ".join(world.report().problems)
    world.lab.etcd.start()
    world.lab.etcd.wait()
    ends_as_before(world, before)


def test_a_node_whose_link_died_goes_back(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    cut(world)
    world.until(lambda: not is_open(world), "the node has gone back", PATIENCE)
    uncut(world)
    ends_as_before(world, before)


def test_an_agent_that_died_goes_back_when_it_starts(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    world.kill("h1")
    world.until(lambda: not pending(world), "others have brought the datastore back", PATIENCE)
    assert is_open(world), "nobody is there to close it"
    world.start("h1", wait=False)
    ends_as_before(world, before)


def test_an_agent_that_died_goes_back_without_the_datastore(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    world.kill("h1")
    world.lab.etcd.kill()
    assert is_open(world)
    world.start("h1", wait=False)
    world.until(lambda: not is_open(world), "the node has gone back by what it kept", PATIENCE)
    assert world.reaches("client", "server"), "all else is as it was"
    world.lab.etcd.start()
    world.lab.etcd.wait()
    world.lab.wait_ready(40)
    ends_as_before(world, before)


def restarted(world: World) -> None:
    """What a host has lost when it was switched off and on: its kernel's filters, and what was under /run."""
    world.kill("h1")
    shutil.rmtree(world.lab.topology.host_directory("h1") / "pending")
    world.run("nft", "delete", "table", "inet", "tortie")


def test_a_host_that_restarts_goes_back_with_the_others(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    restarted(world)
    world.start("h1", wait=False)
    ends_as_before(world, before)


def test_a_host_that_restarts_without_the_datastore_lets_nothing_in(world: World) -> None:
    before = stored(world)
    kill(applied(world))
    world.lab.etcd.kill()
    restarted(world)
    world.start("h1", wait=False)
    world.until(lambda: not is_open(world), "workloads of which the agent does not know are closed", PATIENCE)
    world.lab.etcd.start()
    world.lab.etcd.wait()
    world.lab.wait_ready(40)
    ends_as_before(world, before)


def test_a_confirmation_in_the_last_moment_holds_everywhere_or_nowhere(world: World) -> None:
    before = stored(world)
    process = applied(world)
    (standing,) = pending(world)
    world.until(lambda: time.time() > standing.pending.until - 0.4, "its time is nearly over", PATIENCE)
    is_confirmed = tortie(world, "confirm").wait(PATIENCE) == 0
    assert (process.wait(PATIENCE) == 0) == is_confirmed
    world.until(lambda: not pending(world), "it is decided", PATIENCE)
    assert (stored(world) != before) == is_confirmed
    if is_confirmed:
        world.until(lambda: is_open(world), "the node holds to what was decided", PATIENCE)
        (*_, last) = with_datastore(world, read_history)
        assert tortie(world, "rollback", last.record.change).wait(PATIENCE) == 0
    ends_as_before(world, before)


def test_a_command_that_dies_before_it_applies_leaves_nothing(world: World) -> None:
    before = stored(world)
    world.kill("h2")
    process = tortie(world, "apply", "-f", "-", "--confirm", f"{SECONDS}s", text=OPEN)
    world.until(lambda: bool(pending(world)), "it is offered")
    kill(process)
    assert stored(world) == before
    assert not is_open(world)
    (offer,) = pending(world)
    assert not offer.pending.until


def test_a_node_that_cannot_go_back_by_itself_is_told_before_anything_is_written(
    world: World,
) -> None:
    before = stored(world)
    world.kill("h2")
    process = tortie(world, "apply", "-f", "-", "--confirm", f"{SECONDS}s", text=OPEN)
    assert process.wait(60) == 1
    assert process.stdout is not None
    assert "not ready to go back by themselves: h2" in process.stdout.read()
    assert stored(world) == before
    kill(applied(world, "--without", "h2"))
    ends_as_before(world, before)


def test_a_check_that_fails_takes_it_back_at_once(world: World) -> None:
    before = stored(world)
    process = tortie(world, "apply", "-f", "-", "--confirm", "10m", "--check", "false", text=OPEN)
    assert process.wait(60) == 1
    ends_as_before(world, before)


def test_what_is_confirmed_stays_whatever_dies_then(world: World) -> None:
    before = stored(world)
    process = applied(world)
    assert tortie(world, "confirm").wait(PATIENCE) == 0
    assert process.wait(PATIENCE) == 0
    world.kill("h1")
    world.start("h1")
    assert is_open(world)
    (*_, last) = with_datastore(world, read_history)
    assert tortie(world, "rollback", last.record.change).wait(PATIENCE) == 0
    ends_as_before(world, before)


def test_other_nodes_than_the_chosen_ones_wait_for_the_confirmation(world: World) -> None:
    before = stored(world)
    process = tortie(world, "apply", "-f", "-", "--confirm", "60s", "--nodes", "has(chosen)", text=OPEN)
    world.until(lambda: stored(world) != before, "it is applied", PATIENCE)
    change = pending(world)[0].pending.change

    def said() -> list[str]:
        return list(with_datastore(world, lambda one: trials.heard(one, change)).values())

    world.until(lambda: said() == [trials.APPLIED] * 3, "all have heard of it", PATIENCE)
    assert not is_open(world), "no node is chosen"
    assert tortie(world, "confirm").wait(PATIENCE) == 0
    assert process.wait(PATIENCE) == 0
    world.until(lambda: is_open(world), "it is in force everywhere", PATIENCE)
    (*_, last) = with_datastore(world, read_history)
    assert tortie(world, "rollback", last.record.change).wait(PATIENCE) == 0
    ends_as_before(world, before)


LOCK_OUT = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {failsafeInboundHostPorts: [], failsafeOutboundHostPorts: []}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h1-all, labels: {guarded: "yes"}}
spec: {node: h1, interfaceName: "*"}
"""


def test_a_node_that_the_change_itself_cuts_off_goes_back(world: World) -> None:
    """Connections that stand live on; the datastore's end, so that nothing but a new one would help."""
    process = tortie(world, "apply", "-f", "-", "--confirm", "20s", text=LOCK_OUT)
    key = resource_key(ResourceKey("HostEndpoint", "", "h1-all"))
    world.until(lambda: with_datastore(world, lambda one: one.get(key)) is not None, "it is applied", PATIENCE)
    change = pending(world)[0].pending.change
    kill(process)
    world.until(lambda: bool(world.report().host_endpoints), "it is in force", PATIENCE)
    assert trials.APPLIED not in [with_datastore(world, lambda one: trials.heard(one, change)).get("h1")]
    world.until(lambda: not pending(world), "the datastore has gone back", PATIENCE + 20)
    world.until(lambda: not world.report().host_endpoints, "the node has gone back", PATIENCE)
    assert with_datastore(world, lambda one: one.get(key)) is None
