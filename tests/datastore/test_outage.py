"""One event for an outage, reminders with counts, and one event for its end."""

from __future__ import annotations

import asyncio

import structlog

from tortie.base.clock import SystemClock
from tortie.base.errors import Unavailable
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.outage import REMINDER_SECONDS, Outage
from tortie.datastore.stream import ResourceStream


class SteppedClock(SystemClock):
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += min(seconds, 0.01)
        await super().sleep(0)


def test_an_outage_is_told_once_however_many_prefixes_fail_however_often() -> None:
    clock = SteppedClock()
    with structlog.testing.capture_logs() as logs:
        outage = Outage(clock)
        for _ in range(3):
            for number in range(20):
                outage.failed(f"/{number}/", "nobody there")
        assert len(logs) == 1
        clock.seconds = REMINDER_SECONDS
        outage.failed("/0/", "nobody there yet")
    assert [(event["event"], event["prefixes"], event["failures"], event["seconds"]) for event in logs] == [
        ("datastore_unavailable", 1, 1, 0),
        ("datastore_unavailable", 20, 61, 60),
    ]


def test_the_end_is_told_when_all_have_an_answer_and_the_next_outage_anew() -> None:
    clock = SteppedClock()
    with structlog.testing.capture_logs() as logs:
        outage = Outage(clock)
        outage.answered("/a/")
        outage.failed("/a/", "away")
        outage.failed("/b/", "away")
        clock.seconds = 5
        outage.answered("/a/")
        outage.answered("/a/")
        outage.answered("/b/")
        outage.failed("/b/", "away")
    assert [event["event"] for event in logs] == [
        "datastore_unavailable",
        "datastore_available",
        "datastore_unavailable",
    ]
    assert (logs[1]["failures"], logs[1]["seconds"], logs[2]["failures"]) == (2, 5, 1)


async def test_a_stream_of_many_kinds_tells_an_outage_and_its_end_once() -> None:
    store = EmbeddedDatastore.open_memory()
    is_away = True

    class Away(EmbeddedDatastore):
        async def list(self, prefix: str) -> object:  # type: ignore[override]
            if is_away:
                raise Unavailable("away")
            return await store.list(prefix)

        def watch(self, prefix: str, revision: int) -> object:  # type: ignore[override]
            return store.watch(prefix, revision)

    away, clock = Away.open_memory(), SteppedClock()
    stream = ResourceStream(away, ["Node", "Tier", "IPPool", "NetworkPolicy", "BGPPeer"], clock)
    with structlog.testing.capture_logs() as logs:
        batches = stream.batches()
        task = asyncio.ensure_future(anext(batches))
        for _ in range(500):
            await asyncio.sleep(0)
        assert 1 < clock.seconds < REMINDER_SECONDS
        assert [event["event"] for event in logs] == ["datastore_unavailable"]
        is_away = False
        assert (await task).in_sync
    assert [event["event"] for event in logs] == ["datastore_unavailable", "datastore_available"]
    assert logs[1]["failures"] > 100
    await batches.aclose()  # type: ignore[attr-defined]
    await store.close()
    await away.close()
