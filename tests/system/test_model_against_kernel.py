"""Random policies and random packets: what the compiled form says is what happens in the kernel."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.lab.topology import Topology

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent)
    from model.contents import Contents, contents
    from model.network import Network, network

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SEEDS = st.integers(0, 2**16)
FEW = settings(max_examples=25)
MANY = settings(max_examples=4000)


@pytest.fixture(scope="module")
def net(new_topology: Callable[..., Topology]) -> Iterator[Network]:
    with network(new_topology()) as net:
        yield net


def packets_fare_as_judged(net: Network, contents: Contents, seed: int) -> None:
    net.restart()
    net.bring(contents)
    assert net.ask(seed) == []


def any_way_leads_to_the_same(net: Network, before: Contents, after: Contents, seed: int) -> None:
    net.restart()
    net.bring(before)
    net.bring(after, random.Random(seed))
    assert net.differences() == {}
    assert net.tables() == net.tables_from_nothing()
    assert net.ask(seed) == []


@FEW
@given(contents(), SEEDS)
def test_packets_arrive_where_the_compiled_form_lets_them(net: Network, contents: Contents, seed: int) -> None:
    packets_fare_as_judged(net, contents, seed)


@FEW
@given(contents(), contents(), SEEDS)
def test_any_way_to_a_policy_ends_like_a_fresh_start(
    net: Network, before: Contents, after: Contents, seed: int
) -> None:
    any_way_leads_to_the_same(net, before, after, seed)


@pytest.mark.soak
@MANY
@given(contents(), SEEDS)
def test_packets_arrive_where_the_compiled_form_lets_them_for_long(net: Network, contents: Contents, seed: int) -> None:
    packets_fare_as_judged(net, contents, seed)


@pytest.mark.soak
@MANY
@given(contents(), contents(), SEEDS)
def test_any_way_to_a_policy_ends_like_a_fresh_start_for_long(
    net: Network, before: Contents, after: Contents, seed: int
) -> None:
    any_way_leads_to_the_same(net, before, after, seed)
