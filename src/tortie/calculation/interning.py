"""One object for all equal values, for as long as somebody uses it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Interner(Generic[T]):
    """Shares equal values, so that the replicas of a workload cost one label set, not thousands."""

    def __init__(self) -> None:
        self._entries: dict[T, tuple[T, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def acquire(self, value: T) -> T:
        """The shared object that equals `value`; to be released as often as it was acquired."""
        shared, users = self._entries.get(value, (value, 0))
        self._entries[shared] = (shared, users + 1)
        return shared

    def release(self, value: T) -> None:
        """Give back one use."""
        shared, users = self._entries[value]
        if users == 1:
            del self._entries[shared]
        else:
            self._entries[shared] = (shared, users - 1)
