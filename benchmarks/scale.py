"""One node's agent in a large cluster on a real etcd: start, resumption, a steady stream of changes, and a burst.

Usage: scale.py [ENDPOINTS [POLICIES [SECONDS]]]. The node has 200 interfaces of its own. Each changed endpoint gets
another of 29 labels that rules name, so it leaves one IP set of the kernel and joins another. Health is asked for all
the while. In the end the kernel's sets are compared with what the datastore holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import msgspec
from workloads.snapshots import MARKERS, tag_policies
from workloads.stored import HERE, Stored, endpoint

from tortie.agent.client import ask, is_alive, is_ready, metrics
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.wire import message
from tortie.datastore.keys import stored_key
from tortie.lab.assembly import assemble
from tortie.lab.place import Place
from tortie.lab.services import AGENT, AgentServices
from tortie.lab.topology import Topology, simple
from tortie.netlink import links
from tortie.netlink.batch import execute
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

LOCAL = 200
A_SECOND = 1_000
BURST = 50_000
IN_TRANSACTION, IN_FLIGHT = 100, 8
TICK = 0.01
POLL = 0.05
PATIENCE = 60
CALM = 2.0


class Writer:
    """Writes endpoints into etcd, and remembers which label each has."""

    def __init__(self, url: str, endpoints: int) -> None:
        self._url = url
        self._random = random.Random(7)
        self.labels = [number % 31 for number in range(endpoints)]

    async def fill(self, resources: Iterable[Stored]) -> None:
        cluster, rest = self._open(), iter(resources)

        async def write() -> None:
            while batch := list(islice(rest, IN_TRANSACTION)):
                await _put(cluster, batch)

        await asyncio.gather(*(write() for _ in range(IN_FLIGHT)))
        await cluster.close()

    async def churn(self, seconds: float) -> float:
        """So many changes a second, whether or not anybody keeps up; returns how many a second it became."""
        cluster, began, written = self._open(), time.monotonic(), 0
        while (now := time.monotonic() - began) < seconds:
            due = min(int(now * A_SECOND) - written, IN_TRANSACTION)
            if due > 0:
                await _put(cluster, [self.change(self._random.randrange(len(self.labels))) for _ in range(due)])
                written += due
            await asyncio.sleep(TICK)
        took = time.monotonic() - began
        await cluster.close()
        return written / took

    def burst(self, size: int) -> list[Stored]:
        """Changes of as many endpoints."""
        return [self.change(number) for number in self._random.sample(range(len(self.labels)), size)]

    def change(self, number: int) -> Stored:
        """Another label for an endpoint."""
        self.labels[number] = (self.labels[number] + self._random.randrange(1, 29)) % 29
        return remote(number, self.labels[number])

    def _open(self) -> Cluster:
        return Cluster(EtcdSettings(endpoints=[self._url], timeout=60))


async def _put(cluster: Cluster, batch: list[Stored]) -> None:
    writes = (messages.put_request(stored_key(key).encode(), value) for key, value in dict(batch).items())
    await cluster.call(messages.TXN, b"".join(message(2, message(2, one)) for one in writes))


def remote(number: int, marker: int) -> Stored:
    """As `tag_policies` makes them, with a label of our choice."""
    labels = {f"one-in-{k}": f"value-{number % k}" for k in (10, 11, 20, 30, 40)}
    return endpoint(number, "node-elsewhere", f"namespace-{number % 100}", {**labels, MARKERS[marker]: "true"})


class Pulse:
    """Asks for health all the time, in a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ends = threading.Event()
        self._took: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.wait(POLL):
            began = time.perf_counter()
            if is_alive(self._directory):
                self._took.append(time.perf_counter() - began)

    def told(self) -> str:
        took = sorted(self._took) or [0.0]
        return f"health answers: p99 {took[len(took) * 99 // 100] * 1e3:.0f} ms, worst {took[-1] * 1e3:.0f} ms"


class Process:
    """What the agent used."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def seconds(self) -> float:
        """Of processor time."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self, what: str = "VmRSS") -> float:
        found = re.search(rf"{what}:\s+(\d+) kB", (self._folder / "status").read_text())
        assert found, what
        return int(found[1]) / 1024


def start(place: Place, services: AgentServices) -> tuple[float, str]:
    """Seconds until the agent is ready, and what health answers took meanwhile."""
    with Pulse(place.directory) as pulse:
        began = time.perf_counter()
        services.start_agent(place)
        while not is_ready(place.directory):
            time.sleep(0.02)
        took = time.perf_counter() - began
    return took, pulse.told()


def stages(place: Place) -> str:
    """What the agent logged of its last start."""
    lines = [json.loads(line) for line in (place.directory / f"{AGENT}.log").read_text().splitlines() if "{" in line]
    last = [line for line in lines if line.get("event") == "datastore_in_sync"][-1]
    return f"read, decoded and indexed {last['seconds_reading']:.2f} s, calculated {last['seconds_calculating']:.2f} s"


def generation(place: Place) -> str:
    """Of the packet filter: changes whenever anybody changes anything."""
    command = ["nsenter", f"--net={place.namespace}", "nft", "-j", "list", "ruleset"]
    first = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["nftables"]
    handles = sorted(str(one) for one in first if "chain" in one or "rule" in one)
    return str(hash(tuple(re.sub(r"'(packets|bytes)': \d+", "", one) for one in handles)))


def operations(place: Place) -> int:
    return sum(target.operations for target in ask(place.directory).targets)


def buckets(place: Place) -> dict[float, float]:
    """How many changes took at most so many seconds."""
    found = re.findall(r'^tortie_change_seconds_bucket\{le="([^"]+)"\} (\S+)', metrics(place.directory), re.MULTILINE)
    return {float(limit): float(count) for limit, count in found}


def percentiles(before: dict[float, float], after: dict[float, float]) -> str:
    counts = {limit: after[limit] - before[limit] for limit in sorted(after)}
    whole = counts[float("inf")]
    told = []
    for part in (0.5, 0.99, 0.999):
        limit = next(one for one, count in counts.items() if count >= whole * part)
        told.append(f"p{part * 100:g} ≤ {limit * 1e3:g} ms")
    return f"{', '.join(told)} ({whole:.0f} times)"


def cables(place: Place, endpoints: int) -> None:
    """Interfaces of the node's own endpoints."""
    with inside(place.namespace), contextlib.closing(NetlinkSocket(NETLINK_ROUTE)) as socket:
        for number in range(endpoints, endpoints + LOCAL):
            execute(socket, links.create_veth(links.NewLink(f"cali{number:011x}"), links.NewLink(f"peer{number}")))


def settle(place: Place) -> float:
    """Seconds until nothing happens any more."""
    began, last = time.perf_counter(), -1
    while last != (now := operations(place)):
        last = now
        time.sleep(CALM)
    return time.perf_counter() - began - CALM


def check(place: Place, writer: Writer) -> None:
    """The kernel's sets hold as many endpoints of each label as the datastore."""
    wanted: dict[str, int] = {}
    for number in writer.labels:
        wanted[MARKERS[number]] = wanted.get(MARKERS[number], 0) + 1
    for number in range(len(writer.labels), len(writer.labels) + LOCAL):
        wanted[MARKERS[number % 31]] = wanted.get(MARKERS[number % 31], 0) + 1
    began = time.perf_counter()
    while (sizes := set_sizes(place)) != sorted(wanted.values()):
        assert time.perf_counter() - began < PATIENCE, (sizes, sorted(wanted.values()))
        time.sleep(0.5)
    print(f"the kernel's {len(sizes)} sets hold what the datastore holds, {sum(sizes):,} addresses")


def set_sizes(place: Place) -> list[int]:
    command = ["nsenter", f"--net={place.namespace}", "nft", "-j", "list", "sets"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["nftables"]
    return sorted(size for one in listed if "set" in one and (size := _size(one["set"])) > LOCAL)


def _size(one: dict[str, list[object]]) -> int:
    total = 0
    for element in one.get("elem", ()):
        match element:
            case {"range": [str(first), str(last)]}:
                total += _number(last) - _number(first) + 1
            case {"prefix": {"len": int(length)}}:
                total += 1 << (32 - length)
            case _:
                total += 1
    return total


def _number(address: str) -> int:
    return int.from_bytes(bytes(map(int, address.split("."))), "big") if address.count(".") == 3 else 0


def measure(topology: Topology, endpoints: int, policies: int, seconds: float) -> None:
    services = AgentServices(topology, bird=False, settings={"TORTIE_REFRESH_SECONDS": "25"})
    cluster = tag_policies(endpoints, LOCAL, policies)
    with assemble(topology, bird=False) as lab:
        (place,) = lab.places()
        writer = Writer(topology.etcd_urls[0], endpoints)
        place.kill(AGENT)
        cables(place, endpoints)
        asyncio.run(writer.fill(one for group in (*cluster.groups, cluster.local) for one in group()))
        print(f"{endpoints:,} endpoints, {policies:,} policies, {LOCAL} endpoints on the node")
        took, health = start(place, services)
        agent = Process(ask(place.directory).pid)
        print(f"start: ready after {took:.2f} s ({stages(place)}), {agent.seconds():.2f} s of processor time; {health}")
        print(f"memory: {agent.megabytes():.0f} MiB, most so far {agent.megabytes('VmHWM'):.0f} MiB")
        settle(place)
        before = generation(place)
        place.kill(AGENT)
        took, health = start(place, services)
        agent = Process(ask(place.directory).pid)
        same = "nothing written" if generation(place) == before else "RULES WERE WRITTEN"
        print(f"resumption: ready after {took:.2f} s, {operations(place)} operations, {same}; {health}")
        _churn(place, writer, agent, seconds)
        _burst(place, writer, agent)
        check(place, writer)


def _churn(place: Place, writer: Writer, agent: Process, seconds: float) -> None:
    asyncio.run(writer.churn(5))
    settle(place)
    counted, used, memory = buckets(place), agent.seconds(), agent.megabytes()
    with Pulse(place.directory) as pulse:
        rate = asyncio.run(writer.churn(seconds))
    used = (agent.seconds() - used) / seconds
    print(f"{rate:.0f} changes/s for {seconds:.0f} s: {percentiles(counted, buckets(place))}")
    print(f"  {used:.0%} of a processor, memory {memory:.0f} to {agent.megabytes():.0f} MiB; {pulse.told()}")


def _burst(place: Place, writer: Writer, agent: Process) -> None:
    counted, used, done = buckets(place), agent.seconds(), operations(place)
    size = min(BURST, len(writer.labels))
    began = time.perf_counter()
    with Pulse(place.directory) as pulse:
        asyncio.run(writer.fill(writer.burst(size)))
        written = time.perf_counter() - began
        settle(place)
        whole = time.perf_counter() - began - CALM
    passes = buckets(place)[float("inf")] - counted[float("inf")]
    print(
        f"burst of {size:,}: written in {written:.1f} s, in the kernel after {whole:.1f} s, {passes:.0f} times "
        f"handed on, {operations(place) - done} operations, {agent.seconds() - used:.1f} s of processor time; "
        f"{pulse.told()}"
    )


def main(arguments: list[int]) -> None:
    endpoints, policies, seconds = [*arguments, *(250_000, 3_000, 60)[len(arguments) :]]
    with tempfile.TemporaryDirectory() as directory:
        topology = simple(f"sc{os.getpid()}", 1, 0, directory, etcd=1)
        (host,) = topology.hosts
        hosts = (msgspec.structs.replace(host, name=HERE),)
        measure(msgspec.structs.replace(topology, hosts=hosts), endpoints, policies, seconds)


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]])
