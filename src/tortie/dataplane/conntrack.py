"""Whose an address was last: decides when tracked connections of an address must be forgotten. Pure.

A connection established with the old holder of an address must not reach its new one: it would pass as
established, past the new one's policy. A link that merely goes down and up keeps its connections.
"""

from __future__ import annotations

from collections.abc import Iterable

from tortie.base.addresses import Cidr


class Holders:
    """Addresses (of full length) and the device index each was last routed to; kept across full passes."""

    def __init__(self) -> None:
        self._index: dict[Cidr, int] = {}

    def changes(self, destination: Cidr, index: int) -> bool:
        """Whether routing this destination to this device gives an address to a new holder, or a first one."""
        return destination.is_host and self._index.get(destination) != index

    def holds(self, destination: Cidr) -> bool:
        """Whether it is an address that was routed to a device of this node and has not departed since."""
        return destination in self._index

    def adopt(self, holders: Iterable[tuple[Cidr, int]]) -> None:
        """Learn holders from what the kernel routes to."""
        for destination, index in holders:
            self.given(destination, index)

    def given(self, destination: Cidr, index: int) -> None:
        """The address is now routed to this device."""
        if destination.is_host:
            self._index[destination] = index

    def departed(self, destination: Cidr) -> None:
        """The address has no holder on this node."""
        self._index.pop(destination, None)
