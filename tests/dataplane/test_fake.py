"""The fake target keeps the contract of targets, and the loop heals whatever happens to it."""

from __future__ import annotations

import errno
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.fake import FakeTarget
from tortie.dataplane.keeper import Schedule
from tortie.dataplane.loop import Reconciler
from tortie.desired.delta import Delta
from tortie.desired.routes import Route
from tortie.desired.state import DesiredState

destinations = st.integers(1, 6).map(lambda number: Cidr(4, number, 32))
interfaces = st.sampled_from(["cali1", "cali2", "cali3"])
contents = st.dictionaries(destinations, interfaces)
events = st.lists(
    st.one_of(
        st.tuples(st.just("want"), destinations, interfaces),
        st.tuples(st.just("drop"), destinations),
        st.tuples(st.just("fail"), st.integers(1, 3)),
        st.tuples(st.just("drift"), destinations, interfaces),
        st.tuples(st.just("link"), interfaces),
        st.tuples(st.just("pass")),
    ),
    max_size=30,
)


@given(contents, contents)
def test_applying_a_plan_gives_what_is_desired_and_then_there_is_nothing_to_do(
    wanted: dict[Cidr, str], found: dict[Cidr, str]
) -> None:
    target = FakeTarget()
    desired = DesiredState(routes={one: Route(one, interface) for one, interface in wanted.items()})
    target.kernel = {str(one): interface for one, interface in found.items()}
    actual = target.read()
    plan = target.plan(desired, actual, None)
    target.apply(plan.operations)
    assert target.kernel == target.applied(actual, plan) == {str(one): name for one, name in wanted.items()}
    assert target.plan(desired, target.read(), None).operations == []


@given(events)
async def test_whatever_happens_the_kernel_ends_at_the_desired_state(script: list[tuple[Any, ...]]) -> None:
    clock = Ticking()
    target = FakeTarget()
    with ThreadPoolExecutor(1) as executor:
        reconciler = Reconciler([target], executor, clock, Schedule(), random.Random(1))
        wanted: dict[Cidr, str] = {}
        for event, *arguments in script:
            await happen(event, arguments, target, reconciler, wanted)
            clock.time += 0.05
        target.failures.clear()
        target.missing.clear()
        for _ in range(3):
            clock.time += 120.0
            await reconciler.reconcile()
    assert target.kernel == {str(one): name for one, name in wanted.items()}
    assert (reconciler.status()[0].waiting, reconciler.status()[0].failing) == ({}, "")
    assert reconciler.status()[0].acknowledged == reconciler.generation


class Ticking:
    """A clock that the test moves by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps in a single pass")


async def happen(
    event: str, arguments: list[Any], target: FakeTarget, reconciler: Reconciler, wanted: dict[Cidr, str]
) -> None:
    match event, arguments:
        case "want", [destination, interface]:
            wanted[destination] = interface
            reconciler.update(Delta(routes=(Route(destination, interface),)))
        case "drop", [destination] if wanted.pop(destination, None):
            reconciler.update(Delta(removed_routes=(destination,)))
        case "fail", [times]:
            target.failures += [KernelError("program something", errno.EBUSY)] * times
        case "drift", [destination, interface]:
            target.kernel[str(destination)] = interface
            reconciler.drifted("fake")
        case "link", [interface]:
            target.missing ^= {interface}
            reconciler.interface_changed(interface)
        case "pass", _:
            await reconciler.reconcile()
