"""A host that falls silent: with BFD its routes go within a second or two, without it they stay for minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.services import AgentServices
from tortie.lab.topology import Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

MESH = """
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {{name: default, annotations: {{{annotations}}}}}
spec: {{asNumber: 64512}}
"""
NOTICED = 3 * 0.1
"""Seconds after which BFD notices, as it is asked for below."""


@pytest.fixture(scope="module")
def world(new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]) -> Iterator[World]:
    topology = new_topology(Workload("one", "h1"), Workload("two", "h2"))
    services = AgentServices(topology)
    with Lab(topology, services, plugin(topology)) as lab:
        yield world_of(lab, services)


def is_known(world: World) -> bool:
    """Whether the first host has the routes of the second, in both families."""
    found = [world.run("ip", family, "route", "show", "proto", "bird") for family in ("-4", "-6")]
    return "via 172.31.0.2" in found[0] and "via fd00:31::2" in found[1]


def set_cable(world: World, state: str) -> None:
    """Of the second host, at the switch: the first one sees nothing of it."""
    world.run("ip", "link", "set", "port2", state, host="fabric")


def bird(world: World, host: str, *words: str) -> str:
    return world.run("birdc", "-s", str(world.lab.place(host).directory / "bird" / "bird.ctl"), *words)


def settle(world: World, mode: str, annotations: str) -> None:
    """Wait until both hosts have sessions of this mode, and routes."""
    world.apply(MESH.format(annotations=annotations))
    for host in ("h1", "h2"):

        def is_so(host: str = host) -> bool:
            shown = bird(world, host, "show", "protocols", "all")
            kinds = [line.split()[1:] for line in shown.splitlines() if line.strip().startswith("Session:")]
            right = [("multihop" in kind) == (mode != "SingleHop") for kind in kinds]
            return len(kinds) == 2 and all(right) and ("bfd1" in shown) == bool(mode)

        world.until(is_so, f"sessions of {host}", patience=30)
    world.until(lambda: is_known(world), "routes", patience=30)


@pytest.mark.parametrize("mode", ["MultiHop", "SingleHop"])
def test_routes_of_a_silent_host_go_when_bfd_notices(world: World, mode: str) -> None:
    settle(world, mode, f'tortie/bfd: {mode}, tortie/bfd-interval: 100ms, tortie/bfd-multiplier: "3"')

    def sessions_are_watched() -> bool:
        return bird(world, "h1", "show", "bfd", "sessions").count(" Up ") == 2

    world.until(sessions_are_watched, "both families are watched")
    set_cable(world, "down")
    cut = time.monotonic()
    try:
        world.until(lambda: not is_known(world), "routes go")
        print(f"{mode}: withdrawn after {time.monotonic() - cut:.2f} s")
    finally:
        set_cable(world, "up")
    world.until(lambda: is_known(world), "routes come again", patience=30)


def test_without_bfd_they_stay(world: World) -> None:
    settle(world, "", "")
    set_cable(world, "down")
    try:
        time.sleep(10 * NOTICED)
        assert is_known(world)
    finally:
        set_cable(world, "up")
