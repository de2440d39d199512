"""From the times of numbered requests and their answers to how long the path was cut. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Request(msgspec.Struct, gc=False):
    """A numbered request: when it was sent, and when answered (None: never), on a monotonic clock."""

    sent: float
    answered: float | None = None


class Outage(msgspec.Struct, frozen=True, gc=False):
    """From the first request that was not answered soon to the first answer after it."""

    start: float
    end: float

    @property
    def milliseconds(self) -> float:
        """How long it lasted."""
        return (self.end - self.start) * 1000


class Report(msgspec.Struct, frozen=True):
    """What a stream saw.

    Args:
        sent: requests sent.
        lost: requests never answered.
        outages: in order.
        broken: why the connection broke, when it did.
    """

    sent: int
    lost: int
    outages: tuple[Outage, ...]
    broken: str = ""

    @property
    def longest(self) -> float:
        """The longest outage in milliseconds; 0 when there was none."""
        return max((outage.milliseconds for outage in self.outages), default=0.0)

    def __str__(self) -> str:
        broken = f", broken: {self.broken}" if self.broken else ""
        return f"{self.sent} sent, {self.lost} lost, longest outage {self.longest:.1f} ms{broken}"


def report(requests: Sequence[Request], late: float, end: float, broken: str = "") -> Report:
    """Judge requests in the order sent.

    Args:
        late: seconds after which an answer counts as late.
        end: when the stream ended, which ends an outage that nothing else ended.
    """
    lost = sum(one.answered is None for one in requests)
    return Report(len(requests), lost, tuple(outages(requests, late, end)), broken)


def outages(requests: Sequence[Request], late: float, end: float) -> list[Outage]:
    """The runs of requests that were lost or answered late."""
    found: list[Outage] = []
    start: float | None = None
    for one in requests:
        missed = one.answered is None or one.answered - one.sent > late
        if missed and start is None and not (found and one.sent < found[-1].end):
            start = one.sent
        if start is not None and one.answered is not None:
            found.append(Outage(start, one.answered))
            start = None
    return found if start is None else [*found, Outage(start, end)]
