"""How long changes take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tortie.agent.delays import Delays
from tortie.base.clock import Clock
from tortie.dataplane.loop import Reconciler


def counts(delays: Delays) -> dict[str, float]:
    (metric,) = delays.histogram.collect()
    return {f"{one.name}{one.labels.get('le', '')}": one.value for one in metric.samples}


def test_a_change_is_measured_once_when_the_kernel_has_it() -> None:
    clock, kernel = SimpleNamespace(monotonic=lambda: 5.008), SimpleNamespace(acknowledged=lambda _: 1)
    delays = Delays(cast(Clock, clock))
    delays.began(1, 5.0)
    delays.began(2, 5.004)
    delays.after_pass(cast(Reconciler, kernel))
    delays.after_pass(cast(Reconciler, kernel))
    found = counts(delays)
    assert found["tortie_change_seconds_count"] == 1
    assert (found["tortie_change_seconds_bucket0.0075"], found["tortie_change_seconds_bucket0.01"]) == (0, 1)
    kernel.acknowledged = lambda _: 2
    delays.after_pass(cast(Reconciler, kernel))
    assert counts(delays)["tortie_change_seconds_count"] == 2


def test_what_the_kernel_refuses_is_not_remembered_without_end() -> None:
    delays: Any = Delays(cast(Clock, SimpleNamespace(monotonic=lambda: 0.0)))
    for generation in range(20_000):
        delays.began(generation, 0.0)
    assert len(delays._waiting) == 10_000
