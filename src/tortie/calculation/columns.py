"""Addresses and named ports of all items, in columns by item id, and who else holds an address."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from pyroaring import BitMap

from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.interning import Interner
from tortie.calculation.items import Item, NamedPort
from tortie.calculation.labels import LabelIndex, Labels, Parents
from tortie.calculation.owners import Owners
from tortie.calculation.packedcolumn import PackedColumn
from tortie.desired.packed import distinct
from tortie.desired.sets import Members
from tortie.selector.scoping import means_nodes
from tortie.selector.selector import Selector

Address = bytes | Cidr
"""A packed address of 4 or 16 bytes, or a prefix."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """What one item contributes to sets."""

    hosts4: bytes
    hosts6: bytes
    nets: tuple[Cidr, ...]
    ports: tuple[NamedPort, ...]

    def hosts(self) -> Iterator[bytes]:
        """Packed addresses of both families, one by one."""
        yield from _records(self.hosts4, 4)
        yield from _records(self.hosts6, 16)

    def addresses(self) -> Iterator[Address]:
        """Addresses and prefixes, one by one."""
        yield from self.hosts()
        yield from self.nets


EMPTY = Row(b"", b"", (), ())


class Share(msgspec.Struct, frozen=True, gc=False):
    """What an item has besides addresses: of its own, or from its pod."""

    labels: Labels
    parents: Parents
    ports: tuple[NamedPort, ...]

    def over(self, other: Share) -> Share:
        """Both; where they differ about a label, this one is right."""
        return Share(
            labels=tuple(sorted((dict(other.labels) | dict(self.labels)).items())),
            parents=tuple(dict.fromkeys((*other.parents, *self.parents))),
            ports=tuple(sorted({*other.ports, *self.ports})),
        )


class Columns:
    """Gives items their ids, keeps what they contribute and feeds their labels to the label index.

    Args (attributes):
        before: what items that were there when `settle` was last called, and changed since, contributed then.
    """

    def __init__(self, labels: LabelIndex) -> None:
        self.before: dict[int, Row] = {}
        self._new = BitMap()
        self._label_index = labels
        self._ids: dict[ResourceKey, int] = {}
        self._hosts4 = PackedColumn(4)
        self._hosts6 = PackedColumn(16)
        self._nets: dict[int, tuple[Cidr, ...]] = {}
        self._netted = BitMap()
        self._ports: list[tuple[NamedPort, ...]] = []
        self._port_lists: Interner[tuple[NamedPort, ...]] = Interner()
        self._owners: Owners[Address] = Owners()
        self._nodes = BitMap()
        self._others = BitMap()
        self._free: list[int] = []
        self._leaving: list[int] = []

    def universe(self, selector: Selector) -> BitMap:
        """The items among which a selector of a rule selects; not to be modified."""
        return self._nodes if means_nodes(selector) else self._others

    def id_of(self, key: ResourceKey) -> int | None:
        """The id of an item, if it is there."""
        return self._ids.get(key)

    def row(self, item: int) -> Row:
        """What an item contributes now."""
        return Row(self._hosts4[item], self._hosts6[item], self._nets.get(item, ()), self._ports[item])

    def row_before(self, item: int) -> Row:
        """What an item contributed when `settle` was last called."""
        if item in self._new:
            return EMPTY
        return self.before.get(item) or self.row(item)

    def owners(self, address: Address) -> tuple[int, ...] | BitMap:
        """All items that hold exactly this address or prefix."""
        return self._owners.of(address)

    def members(self, items: BitMap) -> Members:
        """All addresses and prefixes of many items, in bulk."""
        nets = {net for item in self._netted & items for net in self._nets[item]}
        return Members(
            hosts4=distinct(self._hosts4.gather(items), 4),
            hosts6=distinct(self._hosts6.gather(items), 16),
            nets4=tuple(sorted(net for net in nets if net.family == 4)),
            nets6=tuple(sorted(net for net in nets if net.family == 6)),
        )

    def number(self, key: ResourceKey) -> int:
        """The id of an item that is there or, with `put`, soon will be."""
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = self._allocate()
        return number

    def put(self, key: ResourceKey, item: Item) -> int:
        """Add or replace an item; returns its id."""
        number = self.number(key)
        if number in self._new and self.row(number) == EMPTY:
            self._store_new(number, item)
        elif (row := Row(item.hosts4, item.hosts6, item.nets, item.ports)) != self.row(number):
            self._store(number, row)
        (self._nodes if key.kind == Node.kind else self._others).add(number)
        self._label_index.put(number, item.labels, item.parents)
        return number

    def share(self, number: int) -> Share:
        """What an item that is there has besides addresses."""
        shape = self._label_index.shape(number)
        assert shape is not None, "is there"
        return Share(shape.labels, shape.parents, self._ports[number])

    def redress(self, number: int, share: Share) -> None:
        """Replace everything of an item that is there but its addresses."""
        row = self.row(number)
        if share.ports != row.ports:
            self._store(number, msgspec.structs.replace(row, ports=share.ports))
        self._label_index.put(number, share.labels, share.parents)

    def remove(self, key: ResourceKey) -> int | None:
        """Take an item out; returns the id it had, if it was there. The id is not reused before `settle`."""
        number = self._ids.pop(key, None)
        if number is not None:
            self._store(number, EMPTY)
            (self._nodes if key.kind == Node.kind else self._others).discard(number)
            self._label_index.remove(number)
            self._leaving.append(number)
        return number

    def settle(self) -> None:
        """Forget what was before: every set is up to date."""
        self.before = {}
        self._new.clear()
        self._free += self._leaving
        self._leaving = []

    def is_empty(self) -> bool:
        """Whether no item is held."""
        held = (self._ids, self._owners, self._nets, self._port_lists, self._nodes, self._others)
        return not any(held)

    def _allocate(self) -> int:
        if self._free:
            number = self._free.pop()
        else:
            number = len(self._ports)
            self._ports.append(())
        self._new.add(number)
        return number

    def _store_new(self, number: int, item: Item) -> None:
        """What contributes nothing yet, and did not before."""
        self._hosts4[number], self._hosts6[number] = item.hosts4, item.hosts6
        for packed, width in ((item.hosts4, 4), (item.hosts6, 16)):
            if len(packed) == width:
                self._owners.add(packed, number)
            elif packed:
                for address in _records(packed, width):
                    self._owners.add(address, number)
        for net in item.nets:
            self._owners.add(net, number)
        self._store_nets(number, item.nets)
        self._store_ports(number, item.ports)

    def _store(self, number: int, row: Row) -> None:
        old = self.row(number)
        if number not in self._new:
            self.before.setdefault(number, old)
        for address in row.addresses():
            self._owners.add(address, number)
        for address in set(old.addresses()).difference(row.addresses()):
            self._owners.discard(address, number)
        self._hosts4[number], self._hosts6[number] = row.hosts4, row.hosts6
        self._store_nets(number, row.nets)
        self._store_ports(number, row.ports)

    def _store_nets(self, number: int, nets: tuple[Cidr, ...]) -> None:
        if nets:
            self._nets[number] = nets
            self._netted.add(number)
        else:
            self._nets.pop(number, None)
            self._netted.discard(number)

    def _store_ports(self, number: int, ports: tuple[NamedPort, ...]) -> None:
        old = self._ports[number]
        self._ports[number] = self._port_lists.acquire(ports) if ports else ()
        if old:
            self._port_lists.release(old)


def _records(packed: bytes, width: int) -> Iterator[bytes]:
    return (packed[start : start + width] for start in range(0, len(packed), width))
