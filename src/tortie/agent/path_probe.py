"""Paths that lose large packets without a word: each node is asked in turn whether what workloads may send arrives.

A node that answers a small request and, three times in a row, not one of full size is told of: in the status, the log
and the metrics. A node that answers nothing is not judged: its policy may say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Protocol

import msgspec
import structlog

from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.dataplane.loop import Reconciler
from tortie.desired.cluster import Kinds

AT_ONCE = 50
"""Nodes that one round asks, of more a random choice."""
SMALLEST = {4: 576, 6: 1280}
"""Bytes that every path must carry (RFC 791, RFC 8200)."""
_TRIES = 3
_PATIENCE = 0.5


class Asks(Protocol):
    """What asks a host."""

    async def answers(self, address: Cidr, size: int, patience: float) -> bool:
        """Whether an answer comes."""


class Way(msgspec.Struct, frozen=True, order=True, gc=False):
    """To another node, by one of its addresses."""

    node: str
    address: Cidr


def ways_to_nodes(reconciler: Reconciler) -> list[Way]:
    """By the addresses that other nodes are reached by."""
    hosts = (one for one in reconciler.desired.cluster_routes.values() if Kinds.REMOTE_HOST in one.kinds)
    return [Way(one.node, one.destination) for one in hosts if one.destination == one.address]


class Narrow(msgspec.Struct, frozen=True, gc=False):
    """What was found of a way.

    Args:
        needed: bytes that do not arrive.
        passes: bytes that do.
    """

    needed: int
    passes: int


class PathProbe:
    """Asks in rounds.

    Args:
        ways: to all other nodes.
        needed: bytes of the largest packets, by family; those that are not known are not there.
        interval: seconds between rounds; 0 asks nobody.
    """

    def __init__(
        self,
        ways: Callable[[], Sequence[Way]],
        needed: Callable[[], Mapping[int, int]],
        interval: float,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ways = ways
        self._needed = needed
        self._interval = interval
        self._clock = clock
        self._random = random
        self._log = structlog.get_logger("tortie.paths")
        self.narrow: dict[Way, Narrow] = {}

    async def run(self, echo: Asks) -> None:
        """Work until cancelled."""
        while self._interval:
            await self._clock.sleep(self._interval)
            await self.round(echo)

    async def round(self, echo: Asks) -> None:
        """Ask some nodes, and those that were found to be behind a narrow path."""
        ways = self._ways()
        self.narrow = {way: found for way, found in self.narrow.items() if way in set(ways)}
        chosen = {*self._random.sample(list(ways), min(AT_ONCE, len(ways))), *self.narrow}
        await asyncio.gather(*(self._look(echo, way) for way in sorted(chosen)))

    def problems(self) -> Iterator[str]:
        """One sentence for each."""
        for way, found in sorted(self.narrow.items()):
            yield (
                f"packets of {found.needed} bytes do not arrive at node {way.node} ({way.address.text}), and nobody "
                f"says so; {found.passes} bytes do: mend the path, or make the MTU of workloads and tunnels "
                f"{found.needed - found.passes} bytes smaller"
            )

    async def _look(self, echo: Asks, way: Way) -> None:
        needed = self._needed().get(way.address.family, 0)
        if needed <= SMALLEST[way.address.family] or await self._arrives(echo, way, needed):
            self._settle(way, None)
        elif await self._arrives(echo, way, SMALLEST[way.address.family]):
            self._settle(way, Narrow(needed, await self._widest(echo, way, needed)))

    async def _widest(self, echo: Asks, way: Way, needed: int) -> int:
        """The most bytes that arrive, by halves."""
        passes, lost = SMALLEST[way.address.family], needed
        while lost - passes > 1:
            middle = (passes + lost) // 2
            if await self._arrives(echo, way, middle):
                passes = middle
            else:
                lost = middle
        return passes

    async def _arrives(self, echo: Asks, way: Way, size: int) -> bool:
        for _ in range(_TRIES):
            if await echo.answers(way.address, size, _PATIENCE):
                return True
        return False

    def _settle(self, way: Way, found: Narrow | None) -> None:
        before = self.narrow.pop(way, None)
        if found is not None:
            self.narrow[way] = found
        if found == before:
            return
        event = {"peer": way.node, "address": way.address.text}
        if found is None:
            self._log.info("path_wide_again", **event)
        else:
            self._log.warning("path_narrow", needed=found.needed, passes=found.passes, **event)
