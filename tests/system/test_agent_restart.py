"""Never open, never cut: agents are killed, ended and started again while packets flow."""

from __future__ import annotations

import json
import random
import re
import signal
import threading
import time
from typing import Any

import pytest

from tortie.lab import processes
from tortie.lab.probe.model import Transport
from tortie.lab.probe.watch import FIRST_ALLOWED, Watch
from tortie.lab.services import AGENT
from tortie.lab.workload import PluginFailed

pytestmark = pytest.mark.system

World = Any
KERNEL_TARGETS = ("nftables", "routes", "interfaces")


def changing_policy(number: int) -> str:
    """A policy of the server's that changes all the time, and never lets the stranger in."""
    return f"""
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: changing}}
spec:
  order: {10 + number % 3}
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {{selector: role == 'client'}}
      destination: {{ports: [{1000 + number}]}}
"""


class Churn:
    """Applies a new version of a policy again and again until the block ends."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.applied = 0

    def __enter__(self) -> Churn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.03):
            self._world.apply(changing_policy(self.applied))
            self.applied += 1


def kill_and_end_agents_under_traffic(world: World, moments: random.Random, seconds: float) -> None:
    """Promises one and two, with both families, both sides of a flow, and a flow that no policy names."""
    prober = world.lab.prober
    allowed = [
        prober.stream(world.probe("client", "server", 4, Transport.TCP), 0.004),
        prober.stream(world.probe("client", "server", 6, Transport.UDP), 0.004),
        prober.stream(world.probe("stranger", "neighbour", 4, Transport.ICMP), 0.004),
    ]
    watch = Watch(FIRST_ALLOWED.until, interval=0.005, within=seconds + 1)
    denied = [
        prober.watch(world.probe("stranger", "server", 4), watch),
        prober.watch(world.probe("neighbour", "server", 6), watch),
        prober.watch(world.probe("stranger", "server", 4, Transport.UDP), watch),
    ]
    end = time.monotonic() + seconds
    restarts = 0
    with Churn(world) as churn:
        while time.monotonic() < end:
            host = moments.choice(["h1", "h2"])
            (world.stop if moments.random() < 0.3 else world.kill)(host)
            time.sleep(moments.uniform(0, 0.2))
            world.start(host, wait=False)
            time.sleep(moments.uniform(0, 1.2))
            restarts += 1
    world.lab.wait_ready(20)
    opened = [one.result() for one in denied]
    reports = [one.stop() for one in allowed]
    assert opened == [None, None, None]
    assert [(one.lost, one.broken) for one in reports] == [(0, "")] * 3, [str(one) for one in reports]
    assert restarts > 5
    assert churn.applied > 20


def test_killing_and_ending_agents_at_any_moment_of_a_policy_change_cuts_nothing_and_opens_nothing(
    settled: World,
) -> None:
    kill_and_end_agents_under_traffic(settled, random.Random(7), 12)
    assert all(settled.target(name).state == "programmed" for name in KERNEL_TARGETS)
    assert settled.reaches("client", "server")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_killing_and_ending_agents_for_long_cuts_nothing_and_opens_nothing(settled: World, seed: int) -> None:
    kill_and_end_agents_under_traffic(settled, random.Random(seed), 60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_writes_nothing(settled: World, number: int) -> None:
    before = settled.ruleset(), settled.run("ip", "route"), settled.run("ip", "-6", "route")
    assert "chain" in before[0]
    (settled.kill if number == signal.SIGKILL else settled.stop)()
    assert (settled.ruleset(), settled.run("ip", "route"), settled.run("ip", "-6", "route")) == before
    settled.start()
    assert {name: settled.target(name).operations for name in KERNEL_TARGETS} == dict.fromkeys(KERNEL_TARGETS, 0)
    assert settled.ruleset() == before[0]


def test_sigterm_ends_an_agent_with_status_0_and_leaves_the_kernel_alone(settled: World) -> None:
    before = settled.ruleset()
    process = next(
        one
        for one in settled.lab.state().processes
        if (one.place, one.name) == ("h1", AGENT) and processes.is_alive(one)
    )
    log = settled.lab.place("h1").directory / "agent.log"
    settled.stop()
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "agent_stopped"
    assert not processes.is_alive(process)
    assert settled.ruleset() == before
    assert settled.reaches("client", "server")
    assert not settled.reaches("stranger", "server")


def test_nobody_can_be_attached_while_the_agent_is_dead(settled: World) -> None:
    attachment = settled.lab.detach("neighbour")
    settled.kill()
    try:
        with pytest.raises(PluginFailed) as caught:
            settled.lab.attach("neighbour", "h1", attachment.addresses)
    finally:
        settled.start()
        settled.lab.attach("neighbour", "h1", attachment.addresses)
    assert re.search(r'"code": ?11\b', str(caught.value))
    assert "tortie-agent" in str(caught.value)


def test_a_workload_that_goes_while_the_agent_is_dead_keeps_its_addresses_until_the_agent_has_heard(
    settled: World,
) -> None:
    settled.kill()
    gone = settled.lab.detach("neighbour")
    spool = settled.lab.place("h1").directory / "cni-spool"
    assert len(list(spool.iterdir())) == 1
    with pytest.raises(PluginFailed, match=r"held|assigned|taken"):
        settled.lab.attach("neighbour", "h2", gone.addresses)
    settled.start()
    assert list(spool.iterdir()) == []
    assert gone.interface not in settled.run("ip", "link")
    settled.lab.attach("neighbour", "h1", gone.addresses)
    assert settled.reaches("stranger", "neighbour")
