"""Resources that cannot be read, which the calculation treats as absent, or not wholly."""

from __future__ import annotations

from tortie.api.resource import ResourceKey


class Problems:
    """Why a resource has no effect, or not the whole of it, by its key; valid ones are not listed.

    Stored resources were checked when they were written; these come from other writers.
    """

    def __init__(self) -> None:
        self.current: dict[ResourceKey, str] = {}

    def note(self, key: ResourceKey, problem: Exception | str) -> None:
        """A resource cannot be read, or not wholly."""
        self.current[key] = str(problem)

    def forget(self, key: ResourceKey) -> None:
        """A resource was replaced or removed."""
        if self.current:
            self.current.pop(key, None)
