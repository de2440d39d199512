"""Sets of integers as sorted disjoint ranges: reserved addresses, and blocks of a pool that are taken."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from tortie.base.addresses import Cidr


class Ranges:
    """An immutable set of integers, built from ranges (first, last) in any order, overlapping or not."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            self._append(first, last)

    def _append(self, first: int, last: int) -> None:
        if self._lasts and first <= self._lasts[-1] + 1:
            self._lasts[-1] = max(self._lasts[-1], last)
        else:
            self._firsts.append(first)
            self._lasts.append(last)

    def __contains__(self, value: int) -> bool:
        return self.end_of(value) is not None

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def end_of(self, value: int) -> int | None:
        """The last member of the range that holds `value`, or None when no range does."""
        index = bisect_right(self._firsts, value) - 1
        return self._lasts[index] if index >= 0 and value <= self._lasts[index] else None

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of the ranges between `first` and `last`, both included."""
        index = max(0, bisect_right(self._firsts, first) - 1)
        while index < len(self._firsts) and self._firsts[index] <= last:
            if self._lasts[index] >= first:
                yield max(first, self._firsts[index]), min(last, self._lasts[index])
            index += 1

    def count(self, first: int, last: int) -> int:
        """How many members lie between `first` and `last`, both included."""
        return sum(high - low + 1 for low, high in self.within(first, last))


def of_prefixes(prefixes: Iterable[Cidr], family: int) -> Ranges:
    """The addresses of all prefixes of one family."""
    return Ranges((cidr.address, cidr.last) for cidr in prefixes if cidr.family == family)
