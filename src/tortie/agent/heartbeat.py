"""Says again and again that this host lives, under a key that vanishes with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog

from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import TortieError, Unavailable
from tortie.datastore.contract import Datastore
from tortie.datastore.statuskeys import LastReportKey, Liveness, LivenessKey, encode_status, status_key

RETRY_FIRST = 0.5


class Host(msgspec.Struct, frozen=True, gc=False):
    """Who lives, and in which region of OpenStack; empty where there is none."""

    region: str
    name: str


class Pace(msgspec.Struct, frozen=True, gc=False):
    """How often it is said, and how long it holds: `lifetime` is longer than `interval`. Seconds."""

    interval: float
    lifetime: int


class Heartbeat:
    """One host's sign of life.

    Args:
        refusal: why nothing may be written now; empty when it may.
    """

    def __init__(self, host: Host, pace: Pace, datastore: Datastore, clock: Clock, refusal: Callable[[], str]) -> None:
        self.problem = ""
        self._keys = LivenessKey(host.region, host.name), LastReportKey(host.region, host.name)
        self._lifetime = pace.lifetime
        # Hosts that were started together shall not all write at once.
        self._pace = Backoff(pace.interval, pace.interval)
        self._retry = Backoff(RETRY_FIRST, pace.interval)
        self._datastore = datastore
        self._clock = clock
        self._refusal = refusal
        self._started = clock.monotonic()
        self._is_first = True
        self._log = structlog.get_logger("tortie.heartbeat")

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self._beat()
            except TortieError as error:
                delay = self._failed(error)
            else:
                delay = self._succeeded()
            await self._clock.sleep(delay)

    async def _beat(self) -> None:
        if refusal := self._refusal():
            raise Unavailable(refusal)
        time = datetime.fromtimestamp(int(self._clock.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        uptime = round(self._clock.monotonic() - self._started, 3)
        value = encode_status(Liveness(time, uptime, self._is_first))
        liveness, last_report = self._keys
        await self._datastore.put(status_key(liveness), value, self._lifetime)
        await self._datastore.put(status_key(last_report), value)

    def _failed(self, error: TortieError) -> float:
        if not self.problem:
            self._log.warning("sign_of_life_not_written", reason=str(error))
        self.problem = f"that this host lives cannot be written: {error}"
        return self._retry.next()

    def _succeeded(self) -> float:
        if self.problem:
            self._log.info("sign_of_life_written_again")
        self.problem = ""
        self._is_first = False
        self._retry.reset()
        return self._pace.next()
