"""An ordered set of prefixes that finds, quickly, those that contain one and those that one contains."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator

from tortie.base.addresses import BITS, Cidr

_FEW = 64
"""So many insertions cost less one by one than sorting everything."""


class Prefixes:
    """Sorting waits until somebody looks, so that a start with many prefixes sorts once."""

    def __init__(self) -> None:
        self._members: set[Cidr] = set()
        self._sorted: list[Cidr] = []
        self._pending: list[Cidr] = []
        self._stale = 0
        self._lengths: Counter[tuple[int, int]] = Counter()

    def add(self, prefix: Cidr) -> None:
        """Does nothing when it is there."""
        if prefix not in self._members:
            self._members.add(prefix)
            self._pending.append(prefix)
            self._lengths[prefix.family, prefix.length] += 1

    def discard(self, prefix: Cidr) -> None:
        """Does nothing when it is not there."""
        if prefix in self._members:
            self._members.discard(prefix)
            self._stale += 1
            self._lengths[prefix.family, prefix.length] -= 1

    def around(self, prefix: Cidr) -> Iterator[Cidr]:
        """Those that contain it, the widest first, itself last."""
        bits = BITS[prefix.family]
        for length in range(prefix.length + 1):
            if self._lengths.get((prefix.family, length)):
                masked = Cidr(prefix.family, prefix.address >> (bits - length) << (bits - length), length)
                if masked in self._members:
                    yield masked

    def inside(self, prefix: Cidr) -> Iterator[Cidr]:
        """Those that it contains, itself included."""
        if prefix.is_host:
            yield from {prefix} & self._members
            return
        self._sort()
        last = Cidr(prefix.family, prefix.last, BITS[prefix.family])
        found = self._sorted[bisect_left(self._sorted, prefix) : bisect_right(self._sorted, last)]
        yield from (one for one in found if one in self._members)

    def __bool__(self) -> bool:
        return bool(self._members)

    def _sort(self) -> None:
        if len(self._pending) > _FEW or self._stale > len(self._members):
            self._sorted = sorted(self._members)
            self._stale = 0
        else:
            for one in self._pending:
                self._insert(one)
        self._pending = []

    def _insert(self, prefix: Cidr) -> None:
        place = bisect_left(self._sorted, prefix)
        # What went and came back before anybody looked never left the order.
        if self._sorted[place : place + 1] != [prefix]:
            self._sorted.insert(place, prefix)
