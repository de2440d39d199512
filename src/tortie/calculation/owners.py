"""Who holds what, where nearly everything has one holder."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from pyroaring import BitMap

T = TypeVar("T", bound=Hashable)


class Owners(Generic[T]):
    """Items by what they hold; a bitmap is spent only on what several hold."""

    def __init__(self) -> None:
        self._owners: dict[T, int | BitMap] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def of(self, thing: T) -> tuple[int, ...] | BitMap:
        """All items that hold it; not to be modified."""
        found = self._owners.get(thing, ())
        return (found,) if isinstance(found, int) else found

    def add(self, thing: T, item: int) -> None:
        """An item holds it; once is enough."""
        found = self._owners.setdefault(thing, item)
        if isinstance(found, BitMap):
            found.add(item)
        elif found != item:
            self._owners[thing] = BitMap((found, item))

    def discard(self, thing: T, item: int) -> None:
        """An item that held it does so no longer."""
        found = self._owners[thing]
        if found == item:
            del self._owners[thing]
        elif isinstance(found, BitMap):
            found.discard(item)
            if len(found) == 1:
                self._owners[thing] = found[0]
