"""Twenty thousand routes are withdrawn and announced through a host, again and again: policy still changes at once."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tortie.api.resource import ResourceKey
from tortie.bgp.control import BirdControl
from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.routers import Bird, WithRouters
from tortie.lab.services import AgentServices
from tortie.lab.topology import Host, Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.soak, pytest.mark.timeout(900)]

ROUTES = int(os.environ.get("SOAK_ROUTES", "20000"))
CHANGES = 20
ROUTER = "172.31.0.101"

INJECTOR = Bird(
    "\n".join(
        [
            f"router id {ROUTER};",
            "protocol device { }",
            "protocol static many {",
            "ipv4;",
            *(f"route 10.66.{n // 256}.{n % 256}/32 blackhole;" for n in range(ROUTES)),
            "}",
            "protocol bgp host { local as 65101; neighbor 172.31.0.1 as 64512; multihop;",
            "connect delay time 1; connect retry time 1; ipv4 { import none; export all; }; }",
        ]
    )
    + "\n"
)
PEER = f"""
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {{name: injector}}
spec: {{node: h1, peerIP: {ROUTER}, asNumber: 65101}}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: many}}
spec: {{cidr: 10.66.0.0/16, disabled: true}}
"""
"""The host passes on what is inside a pool; no block is there."""
DENIAL = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: denial}
spec: {selector: role == 'server', types: [Ingress], ingress: []}
"""


@pytest.fixture(scope="module")
def world(
    open_directory: Path, new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]
) -> Iterator[World]:
    workloads = (Workload("server", "h1", labels={"role": "server"}), Workload("client", "h1"), Workload("two", "h2"))
    inside = msgspec.structs.replace(new_topology(*workloads), directory=str(open_directory))
    whole = msgspec.structs.replace(inside, hosts=(*inside.hosts, Host("injector", (ROUTER,))))
    agents = AgentServices(inside)
    with Lab(whole, WithRouters(agents, {"injector": INJECTOR}), plugin(inside)) as lab:
        one = world_of(lab, agents)
        one.apply(PEER)
        yield one


def known(world: World, host: str) -> int:
    """Routes of the injector that a host has."""
    return world.run("ip", "-4", "route", "show", "root", "10.66.0.0/16", host=host).count("\n")


def order(world: World, command: str) -> None:
    with BirdControl(Bird.socket(world.lab.place("injector"))) as control:
        control.command(command)


def change_seconds(world: World) -> float:
    """How long it takes from writing a policy until packets are refused, and allowed again."""
    began = time.monotonic()
    world.apply(DENIAL)
    world.until(lambda: not world.reaches("client", "server"), "refused", patience=30)
    world.delete(ResourceKey("GlobalNetworkPolicy", "", "denial"))
    world.until(lambda: world.reaches("client", "server"), "allowed", patience=30)
    return (time.monotonic() - began) / 2


def summary(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds) * 1000:.0f} ms, longest {max(seconds) * 1000:.0f} ms"


def test_policy_changes_at_once_while_routes_come_and_go(world: World) -> None:
    world.until(lambda: known(world, "h2") == ROUTES, "routes, by the first host to the second", patience=120)
    quiet = [change_seconds(world) for _ in range(CHANGES)]
    busy: list[float] = []
    rounds: list[float] = []
    while len(busy) < CHANGES:
        for command, wanted in (("disable many", 0), ("enable many", ROUTES)):
            began = time.monotonic()
            order(world, command)
            while known(world, "h2") != wanted:
                busy.append(change_seconds(world))
            rounds.append(time.monotonic() - began)
    print(f"\n{ROUTES} routes: a change of policy takes {summary(quiet)}; while they come and go {summary(busy)}")
    print(f"{len(rounds)} times {ROUTES} routes withdrawn or announced through a host: {summary(rounds)}")
    assert statistics.median(busy) < 10 * statistics.median(quiet)
    assert not world.report("h1").problems
