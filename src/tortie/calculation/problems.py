"""Resources that cannot be read; the calculation treats them as absent."""

from __future__ import annotations

from tortie.api.resource import ResourceKey


class Problems:
    """Why a resource has no effect, by its key; valid ones are not listed.

    Stored resources were checked when they were written; these come from other writers.
    """

    def __init__(self) -> None:
        self.current: dict[ResourceKey, str] = {}

    def note(self, key: ResourceKey, error: Exception) -> None:
        """A resource cannot be read."""
        self.current[key] = str(error)

    def forget(self, key: ResourceKey) -> None:
        """A resource was replaced or removed."""
        self.current.pop(key, None)
