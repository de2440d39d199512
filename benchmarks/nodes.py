"""Many nodes: what a change costs each of them, by the number of nodes, endpoints and policies.

Usage: nodes.py [NODES ENDPOINTS POLICIES]; without arguments a table, each line of it in a process of its own, and
the same as plots (Mermaid, which browsers of repositories draw). The agents' streams and calculations run in one
process, on a datastore in memory and under a simulated clock; no kernel.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
from workloads.stored import Stored, endpoint, stored

from tortie.agent.log_level import Threshold
from tortie.agent.main import configure_logging
from tortie.datastore.keys import stored_key
from tortie.lab.simulation import Simulation

CHANGES = 200
PODS_HERE = 20
SERIES = {
    "nodes": tuple((nodes, 2_000, 100) for nodes in (10, 50, 100, 200)),
    "endpoints": tuple((10, endpoints, 100) for endpoints in (2_000, 10_000, 50_000, 100_000)),
    "policies": tuple((10, 10_000, policies) for policies in (100, 1_000, 10_000)),
}
"""Cases of which one number is different each time."""


class Spent(msgspec.Struct):
    """Of each node: processor time (µs) of a resource that is read and of one that changes, memory (MB), IP sets."""

    reading: float
    change: float
    memory: float
    sets: float


def cluster(nodes: int, endpoints: int, policies: int) -> Iterator[Stored]:
    """Endpoints of `app-N`, some of them on our nodes, and as many policies, each for one app from another."""
    for number in range(endpoints):
        yield pod(number, nodes, policies)
    for number in range(policies):
        rule = {"action": "Allow", "source": {"selector": f"app == 'app-{(number + 1) % policies}'"}}
        spec = {"selector": f"app == 'app-{number}'", "types": ["Ingress"], "ingress": [rule]}
        yield stored("GlobalNetworkPolicy", f"default.policy-{number}", spec)


def pod(number: int, nodes: int, policies: int, app: int | None = None) -> Stored:
    """The first ones are on the simulated nodes, all others elsewhere."""
    node = f"node-{number // PODS_HERE}" if number < nodes * PODS_HERE else "node-elsewhere"
    which = number % policies if app is None else app
    return endpoint(number, node, f"namespace-{number % 50}", {"app": f"app-{which}"})


async def measure(nodes: int, endpoints: int, policies: int) -> Spent:
    simulation = Simulation([f"node-{number}" for number in range(nodes)])
    for key, value in cluster(nodes, endpoints, policies):
        await simulation.datastore.create(stored_key(key), value)
    base, began = memory(), time.process_time()
    async with simulation:
        await simulation.settled()
        read = time.process_time() - began
        grown = memory() - base
        began = time.process_time()
        for number in range(CHANGES):
            # One that is on none of the nodes.
            chosen = nodes * PODS_HERE + number
            key, value = pod(chosen, nodes, policies, (chosen + 1) % policies)
            await simulation.datastore.put(stored_key(key), value)
        await simulation.settled()
        changed = time.process_time() - began
        sets = sum(len(agent.desired.sets) for agent in simulation.agents.values()) / nodes
    everything = (endpoints + policies) * nodes
    return Spent(read / everything * 1e6, changed / CHANGES / nodes * 1e6, grown / nodes, sets)


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(case: tuple[int, int, int]) -> Spent:
    """Measured in a process of its own."""
    command = [sys.executable, __file__, *map(str, case)]
    return msgspec.json.decode(subprocess.run(command, check=True, capture_output=True).stdout, type=Spent)


def table(results: dict[tuple[int, int, int], Spent]) -> None:
    print("| nodes | endpoints | policies | a resource read | a change | memory of a node | IP sets |")
    print("|---|---|---|---|---|---|---|")
    for (nodes, endpoints, policies), one in results.items():
        print(
            f"| {nodes} | {endpoints:,} | {policies:,} | {one.reading:.0f} µs | {one.change:.0f} µs "
            f"| {one.memory:.1f} MB | {one.sets:.0f} |"
        )


def plot(title: str, unit: str, points: dict[int, float]) -> None:
    """A line, the numbers along the bottom as they are."""
    top = max(points.values()) * 1.2
    print(f'\n```mermaid\nxychart-beta\n    title "{title}"\n    x-axis {[*map(str, points)]}'.replace("'", '"'))
    print(f'    y-axis "{unit}" 0 --> {top:.0f}\n    line {[round(one, 1) for one in points.values()]}\n```')


def main(arguments: list[int]) -> None:
    configure_logging(Threshold("error"))
    if arguments:
        print(msgspec.json.encode(asyncio.run(measure(*arguments))).decode())
        return
    results = {case: apart(case) for cases in SERIES.values() for case in cases}
    table(results)
    for place, (what, cases) in enumerate(SERIES.items()):
        plot(f"A change, by {what}", "µs of each node", {case[place]: results[case].change for case in cases})
    plot("Memory of a node, by endpoints", "MB", {case[1]: results[case].memory for case in SERIES["endpoints"]})


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]])
