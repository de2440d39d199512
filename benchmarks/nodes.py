"""Many nodes: what a change costs each of them, by the number of nodes, endpoints and policies.

Usage: nodes.py [NODES ENDPOINTS POLICIES]; without arguments a table, each line of it in a process of its own. The
agents' streams and calculations run in one process, on a datastore in memory and under a simulated clock; no kernel.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from workloads.stored import Stored, endpoint, stored

from tortie.agent.log_level import Threshold
from tortie.agent.main import configure_logging
from tortie.datastore.keys import stored_key
from tortie.lab.simulation import Simulation

CHANGES = 200
PODS_HERE = 20
TABLE = (
    *((nodes, 2_000, 100) for nodes in (10, 50, 100, 200)),
    *((10, endpoints, 100) for endpoints in (2_000, 10_000, 50_000, 100_000)),
    *((10, 10_000, policies) for policies in (100, 1_000, 10_000)),
)


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


async def measure(nodes: int, endpoints: int, policies: int) -> None:
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
        sizes = sum(len(agent.desired.sets) for agent in simulation.agents.values()) / nodes
    everything = (endpoints + policies) * nodes
    print(
        f"{nodes:6} {endpoints:10,} {policies:9,} {read / everything * 1e6:12.1f} {grown / nodes:12.1f} "
        f"{changed / CHANGES / nodes * 1e6:14.1f} {sizes:12.0f}",
        flush=True,
    )


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[int]) -> None:
    configure_logging(Threshold("error"))
    if arguments:
        asyncio.run(measure(*arguments))
        return
    print(" nodes  endpoints  policies  µs a resource  MB a node  µs a change  sets a node")
    for line in TABLE:
        subprocess.run([sys.executable, __file__, *map(str, line)], check=True)


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]])
