"""Several values by key, where most keys have one: a set is spent only on those that have more."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Multimap(Generic[K, V]):
    """Values are no sets themselves."""

    def __init__(self) -> None:
        self._values: dict[K, V | set[V]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def of(self, key: K) -> Collection[V]:
        """All values of a key; not to be modified."""
        found = self._values.get(key)
        if found is None:
            return ()
        return found if isinstance(found, set) else (found,)

    def add(self, key: K, value: V) -> None:
        """A key has a value; once is enough."""
        found = self._values.setdefault(key, value)
        if isinstance(found, set):
            found.add(value)
        elif found != value:
            self._values[key] = {found, value}

    def discard(self, key: K, value: V) -> None:
        """A key that had a value does so no longer."""
        found = self._values[key]
        if not isinstance(found, set):
            del self._values[key]
            return
        found.discard(value)
        if len(found) == 1:
            (self._values[key],) = found
