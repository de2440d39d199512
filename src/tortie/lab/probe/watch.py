"""When did new connections begin to be refused, or allowed? Opens one after the other until it happens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from tortie.lab.probe.attempts import Attempt
from tortie.lab.probe.model import Outcome, Verdict


class Watch(msgspec.Struct, frozen=True):
    """What to watch for.

    Args:
        until: verdicts that end the watch.
        interval: seconds between the starts of two connections.
        patience: seconds of silence that count as denial.
        within: seconds after which the watch ends without a sighting.
    """

    until: frozenset[Verdict]
    interval: float = 0.002
    patience: float = 0.3
    within: float = 5.0


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """The first connection that ended as wanted.

    Args:
        started: when it was opened, comparable with `time.monotonic()`.
        tried: connections opened before it.
    """

    started: float
    outcome: Outcome
    tried: int


FIRST_REFUSED = Watch(frozenset({Verdict.DENIED, Verdict.REFUSED}))
FIRST_ALLOWED = Watch(frozenset({Verdict.ALLOWED}))


async def watch(new: Callable[[], Attempt], wanted: Watch, loop: asyncio.AbstractEventLoop) -> Sighting | None:
    """Open connections until one ends as wanted; the earliest opened counts. None when none did in time."""
    under_way: deque[Attempt] = deque()
    judged = 0
    end = loop.time() + wanted.within
    try:
        while under_way or loop.time() < end:
            if loop.time() < end:
                under_way.append(new())
                under_way[-1].send()
            await asyncio.sleep(wanted.interval)
            for outcome in _judge(under_way, loop.time() - wanted.patience):
                if outcome[1].verdict in wanted.until:
                    return Sighting(outcome[0], outcome[1], judged)
                judged += 1
        return None
    finally:
        for one in under_way:
            one.close()


def _judge(under_way: deque[Attempt], deadline: float) -> list[tuple[float, Outcome]]:
    """Take the settled ones off the front; those sent before `deadline` are settled by now."""
    settled = []
    while under_way:
        one = under_way[0]
        if not one.answered.done() and one.started < deadline:
            one.give_up()
        if not one.answered.done():
            break
        under_way.popleft().close()
        settled.append((one.started, one.outcome))
    return settled
