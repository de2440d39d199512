"""Addresses of devices, as the events heard so far tell."""

from __future__ import annotations

from collections.abc import Iterable

from tortie.base.addresses import Cidr
from tortie.netlink.addresses import Address


class AddressTable:
    """Addresses by index of their device. For use by one thread."""

    def __init__(self) -> None:
        self._by_index: dict[int, set[Address]] = {}

    def of(self, index: int) -> frozenset[Cidr]:
        """What a device has, each of full length; empty for one that is not there."""
        return frozenset(one.address for one in self._by_index.get(index, ()))

    def note(self, address: Address, *, gone: bool = False) -> bool:
        """Take in one report; returns whether it says anything new."""
        held = self._by_index.setdefault(address.index, set())
        before = len(held)
        if gone:
            held.discard(address)
        else:
            held.add(address)
        if not held:
            del self._by_index[address.index]
        return len(held) != before

    def replace(self, addresses: Iterable[Address]) -> set[int]:
        """Take in a complete list; returns the devices whose addresses differ from before."""
        old, self._by_index = self._by_index, {}
        for address in addresses:
            self._by_index.setdefault(address.index, set()).add(address)
        return {index for index in old.keys() | self._by_index.keys() if old.get(index) != self._by_index.get(index)}
