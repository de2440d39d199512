"""Paths that lose large packets are found, measured, told and forgotten."""

from __future__ import annotations

from random import Random

import pytest

from tortie.agent.path_probe import AT_ONCE, Narrow, PathProbe, Way
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock

NEAR, FAR = Way("near", Cidr.host("192.0.2.2")), Way("far", Cidr.host("fd00::3"))


class Paths:
    """Answers what fits; every path loses its first packets."""

    def __init__(self) -> None:
        self.widths: dict[Cidr, int] = {NEAR.address: 1500, FAR.address: 1500}
        self.unlucky = 0
        self.asked: list[tuple[Cidr, int]] = []

    async def answers(self, address: Cidr, size: int, patience: float) -> bool:
        self.asked.append((address, size))
        if self.unlucky:
            self.unlucky -= 1
            return False
        return size <= self.widths.get(address, 0)


class World:
    """A prober, and what it is told."""

    def __init__(self) -> None:
        self.paths = Paths()
        self.ways = [NEAR, FAR]
        self.needed = {4: 1500, 6: 1500}
        self.probe = PathProbe(lambda: self.ways, lambda: self.needed, 1, SystemClock(), Random(1))

    async def round(self) -> dict[Way, Narrow]:
        self.paths.asked.clear()
        await self.probe.round(self.paths)
        return self.probe.narrow


@pytest.fixture
def world() -> World:
    return World()


async def test_paths_that_carry_everything_are_asked_once_and_no_problem(world: World) -> None:
    assert await world.round() == {}
    assert sorted(world.paths.asked) == [(NEAR.address, 1500), (FAR.address, 1500)]
    assert list(world.probe.problems()) == []


@pytest.mark.parametrize("width", [1499, 1400, 1281, 577])
async def test_a_narrow_path_is_measured_to_the_byte_and_told(world: World, width: int) -> None:
    world.paths.widths[NEAR.address] = width
    assert await world.round() == {NEAR: Narrow(1500, width)}
    (told,) = world.probe.problems()
    assert told.startswith("packets of 1500 bytes do not arrive at node near (192.0.2.2)")
    assert f"{width} bytes do" in told
    assert f"{1500 - width} bytes smaller" in told


async def test_a_path_that_is_mended_is_forgotten(world: World) -> None:
    world.paths.widths[FAR.address] = 1400
    assert set(await world.round()) == {FAR}
    world.paths.widths[FAR.address] = 1500
    assert await world.round() == {}


async def test_a_smaller_need_is_met_by_a_narrow_path(world: World) -> None:
    world.paths.widths[NEAR.address] = 1400
    await world.round()
    world.needed = {4: 1400}
    assert await world.round() == {}
    assert {address for address, _ in world.paths.asked} == {NEAR.address}


async def test_a_node_that_answers_nothing_is_not_judged(world: World) -> None:
    world.paths.widths.clear()
    assert await world.round() == {}


async def test_two_lost_packets_are_no_narrow_path(world: World) -> None:
    world.ways, world.paths.unlucky = [NEAR], 2
    assert await world.round() == {}


async def test_a_node_that_is_gone_is_forgotten(world: World) -> None:
    world.paths.widths[NEAR.address] = 1400
    await world.round()
    world.ways = [FAR]
    assert await world.round() == {}


async def test_of_many_nodes_some_are_asked_and_the_narrow_ones_always(world: World) -> None:
    world.ways = [NEAR, *(Way(f"n{n}", Cidr(4, 10 << 24 | n, 32)) for n in range(3 * AT_ONCE))]
    world.paths.widths |= {way.address: 1500 for way in world.ways}
    world.paths.widths[NEAR.address] = 1400
    for _ in range(40):
        if await world.round():
            break
    for _ in range(3):
        assert set(await world.round()) == {NEAR}
        assert len({address for address, _ in world.paths.asked}) <= AT_ONCE + 1


async def test_without_an_interval_nobody_is_asked(world: World) -> None:
    probe = PathProbe(lambda: world.ways, lambda: world.needed, 0, SystemClock(), Random(1))
    await probe.run(world.paths)
    assert world.paths.asked == []
