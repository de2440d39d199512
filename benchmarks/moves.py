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
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Rule
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.assembly import assemble
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
    """While another process changes policies as fast as the datastore takes them."""
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
    print("| | seconds |\n|---|---|")
    for home, host in (("h1", "h2"), ("h2", "h1")):
        if lab.attachment("mover").host != home:
            migrate(lab, "mover", home)
        one = Migration(lab, "mover", host)
        one.connect()
        probes = [Probe("client", address, Transport.UDP, 80) for address in lab.attachment("mover").addresses]
        streams = [lab.prober.stream(probe, interval=0.01) for probe in probes]
        lab.exec(home, ["ip", "link", "set", "eth0", "down"])
        one.appear()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not all(found.allowed for found in lab.probe(*probes)):
            time.sleep(0.2)
        whose = "its own block" if home == "h1" else "a block of the host that it goes to"
        for probe, stream in zip(probes, streams, strict=True):
            silence = stream.stop().longest / 1000
            print(f"| dead host, address of {whose}, IPv{probe.family} | {silence:.2f} |", flush=True)
        lab.exec(home, ["ip", "link", "set", "eth0", "up"])
        lab.exec(home, ["ip", "route", "replace", "default", "via", "172.31.0.254"])
        wait_established(lab, PATIENCE)
        one.finish()


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
