"""Who holds what, where most things have one holder."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from pyroaring import BitMap

T = TypeVar("T", bound=Hashable)


def take_out(items: BitMap, gone: BitMap) -> None:
    """Items that are there are there no longer; one by itself is taken out without a look at the others."""
    if len(gone) == 1:
        items.discard(gone[0])
    else:
        items -= gone


class Owners(Generic[T]):
    """Items by what they hold; a bitmap is spent only on what several hold."""

    def __init__(self) -> None:
        self._owners: dict[T, int | BitMap] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def __iter__(self) -> Iterator[T]:
        return iter(self._owners)

    def __contains__(self, thing: T) -> bool:
        return thing in self._owners

    def of(self, thing: T) -> tuple[int, ...] | BitMap:
        """All items that hold it; not to be modified."""
        found = self._owners.get(thing, ())
        return (found,) if isinstance(found, int) else found

    def bitmap(self, thing: T) -> BitMap:
        """All items that hold it; not to be modified."""
        found = self._owners.get(thing)
        if found is None:
            return BitMap()
        return BitMap((found,)) if isinstance(found, int) else found

    def count(self, thing: T) -> int:
        """How many hold it."""
        found = self._owners.get(thing)
        if found is None:
            return 0
        return 1 if isinstance(found, int) else len(found)

    def add(self, thing: T, item: int) -> None:
        """An item holds it; once is enough."""
        found = self._owners.setdefault(thing, item)
        if isinstance(found, BitMap):
            found.add(item)
        elif found != item:
            self._owners[thing] = BitMap((found, item))

    def update(self, thing: T, items: list[int] | BitMap) -> None:
        """Items hold it."""
        if len(items) == 1:
            self.add(thing, items[0])
        elif items:
            found = self._owners.get(thing)
            if isinstance(found, BitMap):
                found.update(items)
            else:
                self._owners[thing] = BitMap(items if found is None else [*items, found])

    def discard(self, thing: T, item: int) -> None:
        """An item that held it does so no longer."""
        found = self._owners[thing]
        if found == item:
            del self._owners[thing]
        elif isinstance(found, BitMap):
            found.discard(item)
            self._shrink(thing, found)

    def difference_update(self, thing: T, items: BitMap) -> None:
        """Items that held it do so no longer."""
        found = self._owners[thing]
        if not isinstance(found, BitMap):
            del self._owners[thing]
            return
        take_out(found, items)
        self._shrink(thing, found)

    def _shrink(self, thing: T, found: BitMap) -> None:
        if len(found) == 1:
            self._owners[thing] = found[0]
        elif not found:
            del self._owners[thing]
