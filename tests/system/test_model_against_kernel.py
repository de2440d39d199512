"""Random policies and random packets: what the compiled form says is what happens in the kernel."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tortie.lab.topology import Topology

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent)
    from model.contents import Contents, contents, guarded
    from model.dice import Dice
    from model.furniture import furnished, with_settings
    from model.network import Network, network
    from model.reducing import least, report

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SEEDS = st.integers(0, 2**32 - 1)
"""What everything is drawn from. Hypothesis remembers those that fail; what they give is reduced here."""
FEW = settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
SOAK_SEED = int(os.environ.get("SOAK_SEED", "0"))


@pytest.fixture(scope="module")
def net(new_topology: Callable[..., Topology]) -> Iterator[Network]:
    with network(new_topology()) as net:
        yield net


def packets_fare_as_judged(net: Network, seed: int) -> None:
    def wrong(drawn: Contents) -> list[str]:
        net.restart()
        net.bring(drawn)
        return net.ask(seed)

    reduced = least((contents(Dice(seed)),), lambda drawn: bool(wrong(*drawn)))
    assert reduced is None, report(reduced, wrong(*reduced))


def shots_fare_as_judged(net: Network, seed: int) -> None:
    dice = Dice(seed)

    def wrong(drawn: Contents) -> list[str]:
        net.restart()
        net.bring(drawn, random.Random(seed))
        return [*net.differences(), *net.shoot(seed)]

    reduced = least((with_settings(dice, guarded(dice)),), lambda drawn: bool(wrong(*drawn)))
    assert reduced is None, report(reduced, wrong(*reduced))


def any_way_leads_to_the_same(net: Network, seed: int) -> None:
    def wrong(before: Contents, after: Contents) -> list[str]:
        net.restart()
        net.bring(before)
        net.bring(after, random.Random(seed))
        return [*net.differences(), *net.ask(seed)]

    dice = Dice(seed)
    both = with_settings(dice, contents(dice)), with_settings(dice, contents(dice))
    reduced = least(both, lambda drawn: bool(wrong(*drawn)))
    assert reduced is None, report(reduced, wrong(*reduced))


def any_way_to_everything_leads_to_the_same(net: Network, seed: int) -> None:
    def wrong(*several: Contents) -> list[str]:
        net.restart()
        chance = random.Random(seed)
        for one in several:
            net.bring(one, chance)
        return net.differences()

    dice = Dice(seed)
    reduced = least((furnished(dice), furnished(dice), furnished(dice)), lambda drawn: bool(wrong(*drawn)))
    assert reduced is None, report(reduced, wrong(*reduced))


def test_a_kernel_that_does_otherwise_is_noticed(net: Network) -> None:
    drawn = contents(Dice(1))
    net.restart()
    net.bring(drawn)
    assert net.ask(1) == net.shoot(1) == net.differences() == []
    for node in net.nodes.values():
        node.thread.submit(node.wipe).result()
    assert any("allowed" in line and "Deny" in line for line in net.ask(1))
    assert any("arrived" in line and "Deny" in line for line in net.shoot(1))
    assert net.differences()


@FEW
@given(SEEDS)
def test_packets_arrive_where_the_compiled_form_lets_them(net: Network, seed: int) -> None:
    packets_fare_as_judged(net, seed)


@FEW
@given(SEEDS)
def test_packets_of_every_protocol_arrive_where_workloads_and_guarded_hosts_let_them(net: Network, seed: int) -> None:
    shots_fare_as_judged(net, seed)


@FEW
@given(SEEDS)
def test_any_way_to_a_policy_ends_like_a_fresh_start(net: Network, seed: int) -> None:
    any_way_leads_to_the_same(net, seed)


@settings(FEW, max_examples=15)
@given(SEEDS)
def test_any_way_to_limits_translation_and_settings_ends_like_a_fresh_start(net: Network, seed: int) -> None:
    any_way_to_everything_leads_to_the_same(net, seed)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS + 3600)
def test_model_and_kernel_agree_for_as_long_as_asked(net: Network) -> None:
    seeds = random.Random(SOAK_SEED)
    end = time.monotonic() + SOAK_SECONDS
    tried = 0
    while time.monotonic() < end:
        seed = seeds.getrandbits(32)
        packets_fare_as_judged(net, seed)
        any_way_leads_to_the_same(net, seed)
        any_way_to_everything_leads_to_the_same(net, seed)
        shots_fare_as_judged(net, seed)
        tried += 1
    print(f"seed {SOAK_SEED}: {tried} states, {tried} ways, {tried} of guarded hosts, for {SOAK_SECONDS:g} s")
    assert tried
