"""Whose an address was last: decides when tracked connections of an address must be forgotten. Pure.

A connection established with the old holder of an address must not reach its new one: it would pass as
established, past the new one's policy. A link that merely goes down and up keeps its connections, and so does a
virtual machine that moves: both ends of each are the same as before, and both hosts have policed it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tortie.base.addresses import Cidr


class Holders:
    """Addresses (of full length) and the device index each was last routed to; kept across full passes."""

    def __init__(self) -> None:
        self._index: dict[Cidr, int] = {}
        self._moving: set[Cidr] = set()

    def moves(self, destination: Cidr, moving: bool) -> None:
        """Whether the holder runs on when the address comes or departs, so that its connections stay right."""
        (self._moving.add if moving else self._moving.discard)(destination)

    def runs_on(self, destination: Cidr) -> bool:
        """As last told."""
        return destination in self._moving

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
        self._moving.discard(destination)
