"""Workloads that change hosts: what a client on a third host loses, planned and not, and with the control plane loaded.

`moves.py [ROUNDS]` measures so many moves of each kind; `moves.py --death` what it takes when a host dies.
Prints rows of a table: percentiles of the longest silence of a move in milliseconds, and packets lost.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tortie.agent.log_level import Threshold
from tortie.agent.main import configure_logging
from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Rule
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.assembly import assemble
from tortie.lab.cluster import write
from tortie.lab.lab import Lab
from tortie.lab.migration import Migration, migrate
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.outages import Report
from tortie.lab.sessions import wait_established
from tortie.lab.topology import Topology, Workload, simple
from tortie.selector.check import selector_problem

INTERVAL = 0.001
SETTLING = 0.4
POLICIES = 50
CHANGES = 50
"""At most so many policies are changed in a second."""
LOAD, DEATH = "--load", "--death"
PATIENCE = 900.0


def planned(lab: Lab, host: str) -> None:
    migrate(lab, "mover", host)


def abrupt(lab: Lab, host: str) -> None:
    """The old cable dies, and the endpoint is on another host, where the cable is there already."""
    one = Migration(lab, "mover", host)
    one.connect()
    one.appear()
    time.sleep(SETTLING)
    one.finish()


def detached(lab: Lab, host: str) -> None:
    """CNI DEL, then CNI ADD, one after the other."""
    lab.move("mover", host)


def measure(name: str, lab: Lab, rounds: int, move: Callable[[Lab, str], None]) -> dict[int, list[float]]:
    """Moves there and back; prints a row for each family."""
    reports: dict[int, list[Report]] = {4: [], 6: []}
    for number in range(rounds):
        for family, report in observed(lab, ("h2", "h1")[number % 2], move):
            reports[family].append(report)
    silences = {family: [one.longest if one.lost else 0.0 for one in found] for family, found in reports.items()}
    for family, found in silences.items():
        lost = sum(one.lost for one in reports[family])
        sent = sum(one.sent for one in reports[family])
        print(f"| {name}, IPv{family} | {row(found)} | {lost:,} of {sent:,} |", flush=True)
    return silences


def observed(lab: Lab, host: str, move: Callable[[Lab, str], None]) -> Iterator[tuple[int, Report]]:
    """What a client hears of one move, by family."""
    addresses = lab.attachment("mover").addresses
    probes = [Probe("client", one, Transport.UDP, 80) for one in addresses]
    streams = [lab.prober.stream(one, interval=INTERVAL) for one in probes]
    time.sleep(SETTLING / 2)
    move(lab, host)
    time.sleep(SETTLING)
    for probe, stream in zip(probes, streams, strict=True):
        yield probe.family, stream.stop()


def row(silences: Sequence[float]) -> str:
    ordered = sorted(silences)
    ninety = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    ninety_nine = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    found = (statistics.median(ordered), ninety, ninety_nine, ordered[-1])
    return " | ".join(f"{one:.0f}" for one in found)


@contextmanager
def loaded(topology: Topology) -> Iterator[None]:
    """While another process changes policies."""
    process = subprocess.Popen([sys.executable, __file__, LOAD, topology.datastore])
    try:
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait()


async def change_policies(datastore: str) -> None:
    store = ResourceStore(await EmbeddedDatastore.open(Path(datastore)), SystemClock(), selector_problem)
    number = 0
    while True:
        number += 1
        await store.apply(policy(number))
        await asyncio.sleep(1 / CHANGES)


def policy(number: int) -> GlobalNetworkPolicy:
    rules = tuple(
        Rule(action="Allow", protocol="TCP", destination=EntityRule(ports=(1000 + (number + one) % 60000,)))
        for one in range(10)
    )
    return GlobalNetworkPolicy(
        metadata=Metadata(name=f"load-{number % POLICIES}"),
        spec=GlobalNetworkPolicySpec(selector="all()", types=("Ingress",), ingress=(*rules, Rule(action="Allow"))),
    )


def death(lab: Lab) -> None:
    """A host vanishes without a word, and what ran there is started on another at once."""
    print("| | seconds of silence |\n|---|---|")
    for detection in ("SingleHop", ""):
        asyncio.run(write(lab.topology, [bgp_settings(detection)]))
        time.sleep(5)
        wait_established(lab)
        for home, host in (("h1", "h2"), ("h2", "h1")):
            die(lab, home, host, "with BFD" if detection else "without BFD")


def bgp_settings(detection: str) -> BGPConfiguration:
    annotations = {"tortie/bfd": detection} if detection else {}
    spec = BGPConfigurationSpec(as_number=64512, node_to_node_mesh_enabled=True)
    return BGPConfiguration(metadata=Metadata(name="default", annotations=annotations), spec=spec)


def plug(lab: Lab, host: str, state: str) -> None:
    """The host's port of the fabric, up or down."""
    number = [one.name for one in lab.topology.hosts].index(host)
    done = lab.exec("fabric", ["ip", "link", "set", f"port{number + 1}", state])
    assert done.returncode == 0, done.stderr


def die(lab: Lab, home: str, host: str, how: str) -> None:
    one = Migration(lab, "mover", host)
    one.connect()
    probes = [Probe("client", address, Transport.UDP, 80) for address in lab.attachment("mover").addresses]
    streams = [lab.prober.stream(probe, interval=0.01) for probe in probes]
    time.sleep(SETTLING)
    plug(lab, home, "down")
    one.appear()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not all(found.allowed for found in lab.probe(*probes)):
        time.sleep(0.2)
    time.sleep(SETTLING)
    whose = "its own block" if home == "h1" else "the block of the host that it goes to"
    for probe, stream in zip(probes, streams, strict=True):
        print(f"| {how}, address of {whose}, IPv{probe.family} | {stream.stop().longest / 1000:.2f} |", flush=True)
    plug(lab, home, "up")
    one.finish()
    wait_established(lab, PATIENCE)


def main() -> None:
    configure_logging(Threshold("error"))
    if sys.argv[1:2] == [LOAD]:
        asyncio.run(change_policies(sys.argv[2]))
    is_death = sys.argv[1:2] == [DEATH]
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 and not is_death else 20
    with tempfile.TemporaryDirectory() as directory:
        bare = simple(f"b{os.getpid()}", 3, 0, directory)
        topology = msgspec.structs.replace(bare, workloads=(Workload("mover", "h1"), Workload("client", "h3")))
        with assemble(topology) as lab:
            wait_established(lab)
            if is_death:
                death(lab)
                return
            print("| | p50 | p90 | p99 | worst | lost |\n|---|---|---|---|---|---|")
            measure("planned", lab, rounds, planned)
            measure("abrupt", lab, rounds, abrupt)
            measure("CNI DEL and ADD", lab, rounds, detached)
            with loaded(topology):
                measure("planned, loaded", lab, rounds, planned)
                measure("abrupt, loaded", lab, rounds, abrupt)


if __name__ == "__main__":
    main()
