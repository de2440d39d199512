"""Many nodes in one process, with the agents' own code."""

from __future__ import annotations

import asyncio
import time

import msgspec

from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.calculation.graph import Work
from tortie.lab.simulation import SimulatedClock, Simulation

NODES = 40


def endpoint(number: int, app: str) -> WorkloadEndpoint:
    """One of many, on the node of its number."""
    node = f"n{number % NODES}"
    return WorkloadEndpoint(
        metadata=Metadata(name=f"{node}-cni-c{number}-eth0", namespace="shop", labels={"app": app}),
        spec=WorkloadEndpointSpec(
            orchestrator="cni",
            node=node,
            container_id=f"c{number}",
            endpoint="eth0",
            interface_name=f"cali{number}",
            ip_networks=(f"10.65.{number >> 8}.{number & 255}/32",),
        ),
    )


def policy(app: str) -> GlobalNetworkPolicy:
    rule = Rule(action="Allow", source=EntityRule(selector=f"app == '{app}'"))
    spec = GlobalNetworkPolicySpec(selector="all()", types=("Ingress",), ingress=(rule,))
    return GlobalNetworkPolicy(metadata=Metadata(name="from"), spec=spec)


def spent(before: Work, after: Work) -> dict[str, int]:
    return {name: getattr(after, name) - getattr(before, name) for name in Work.__struct_fields__}


async def test_every_node_of_many_knows_what_it_needs_and_a_change_costs_each_what_it_changes_there() -> None:
    async with Simulation([f"n{number}" for number in range(NODES)]) as simulation:
        for number in range(3 * NODES):
            await simulation.store.create(endpoint(number, "web" if number % 2 else "db"))
        await simulation.store.create(policy("web"))
        await simulation.settled()
        agents = simulation.agents.values()
        assert all(agent.in_sync for agent in agents)
        assert {len(agent.desired.endpoints) for agent in agents} == {3}
        assert {len(next(iter(agent.desired.sets.values())).members.hosts4) // 4 for agent in agents} == {
            3 * NODES // 2
        }
        before = [agent.calculation.work for agent in agents]
        await simulation.store.create(endpoint(3 * NODES, "web"))
        await simulation.settled()
        works = [spent(*pair) for pair in zip(before, (agent.calculation.work for agent in agents), strict=True)]
        assert {work["touched"] for work in works} == {1}
        assert sorted(work["endpoints"] for work in works) == [0] * (NODES - 1) + [1], "but where it is"
        assert {len(agent.desired.endpoints) for agent in agents} == {3, 4}


async def test_time_goes_by_at_once_and_wakes_whoever_waited_in_order() -> None:
    clock, woken = SimulatedClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3600.0, 60.0, 7200.0)]
    await asyncio.sleep(0)
    began = time.monotonic()
    for moment in (60.0, 3600.0):
        assert clock.next_at() == moment
        clock.go_to(moment)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert woken == [(60.0, 60.0), (3600.0, 3600.0)]
    assert time.monotonic() - began < 60
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert clock.next_at() == float("inf")


async def test_agents_follow_after_an_hour_in_which_nothing_happened() -> None:
    async with Simulation(["n0", "n1"]) as simulation:
        await simulation.store.create(endpoint(0, "web"))
        await simulation.pass_time(3600)
        stored = await simulation.store.get(endpoint(0, "web").key)
        changed = msgspec.structs.replace(
            stored, metadata=msgspec.structs.replace(stored.metadata, labels={"app": "db"})
        )
        await simulation.store.update(changed)
        await simulation.store.create(policy("db"))
        await simulation.pass_time(1)
        assert [len(agent.desired.sets) for agent in simulation.agents.values()] == [1, 0], "no endpoint, no set"
