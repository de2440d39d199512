"""An outage of the datastore as one event however many wait for it, told again once in a while, and its end."""

from __future__ import annotations

from tortie.base.clock import Clock
from tortie.base.logs import Logger

REMINDER_SECONDS = 60.0

_log = Logger(__name__)


class Outage:
    """Counts the failures of those who follow prefixes of one datastore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._away: set[str] = set()
        self._failures = 0
        self._began = 0.0
        self._told = 0.0
        self._problem = ""

    @property
    def problem(self) -> str:
        """What was answered last, while somebody waits; empty when all have an answer."""
        return self._problem if self._away else ""

    def failed(self, prefix: str, problem: str) -> None:
        """Somebody got no answer; the first such failure is told at once, further ones as a count."""
        now = self._clock.monotonic()
        if not self._away:
            self._failures, self._began = 0, now
        is_due = not self._away or now - self._told >= REMINDER_SECONDS
        self._away.add(prefix)
        self._failures += 1
        self._problem = problem
        if is_due:
            self._told = now
            _log.warning(
                "datastore_unavailable",
                problem=problem,
                prefixes=len(self._away),
                failures=self._failures,
                seconds=round(now - self._began),
            )

    def has(self, prefix: str) -> bool:
        """Whether somebody waits who follows this prefix."""
        return prefix in self._away

    def answered(self, prefix: str) -> None:
        """Somebody got an answer; the outage is over when all have."""
        if prefix not in self._away:
            return
        self._away.discard(prefix)
        if not self._away:
            seconds = round(self._clock.monotonic() - self._began)
            _log.info("datastore_available", failures=self._failures, seconds=seconds)
