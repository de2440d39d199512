"""How long changes take from when the agent hears of them until the kernel has acknowledged what follows from them."""

from __future__ import annotations

from collections import deque

from prometheus_client import Histogram

from tortie.base.clock import Clock
from tortie.dataplane.loop import Reconciler

MILLISECONDS = (1, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
"""Limits of what is counted together."""

_TARGETS = ("nftables", "routes", "interfaces")
_MOST_WAITING = 10_000
"""While the kernel refuses everything, what waits is not remembered without end."""


class Delays:
    """Measures what changes verdicts and routes; what is carried out together is measured once, by the oldest of it.

    Attributes:
        histogram: for Prometheus.
    """

    def __init__(self, clock: Clock) -> None:
        self.histogram = Histogram(
            "tortie_change_seconds",
            "From hearing of changes until the kernel has acknowledged what follows from them",
            buckets=[one / 1000 for one in MILLISECONDS],
            registry=None,
        )
        self._clock = clock
        self._waiting: deque[tuple[int, float]] = deque(maxlen=_MOST_WAITING)

    def began(self, generation: int, heard: float) -> None:
        """The reconciler was told a generation; the first change of it was heard of at `heard` (monotonic)."""
        self._waiting.append((generation, heard))

    def after_pass(self, reconciler: Reconciler) -> None:
        """Some generations may be in the kernel now."""
        acknowledged = reconciler.acknowledged(_TARGETS)
        while self._waiting and self._waiting[0][0] <= acknowledged:
            _, heard = self._waiting.popleft()
            self.histogram.observe(self._clock.monotonic() - heard)
