"""The label index: bitmaps of items per label, label value and parent, with inheritance resolved.

An item's effective value of a label is its own or, failing that, the one of the first of its parents
(profiles) that has the label. The bitmaps hold effective values, so that a selector is set algebra.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec
from pyroaring import BitMap

from tortie.calculation.interning import Interner

Pair = tuple[str, str]
Labels = tuple[Pair, ...]
Parents = tuple[str, ...]
Shape = tuple[Labels, Parents]
"""All that the index knows of an item; replicas of a workload have the same."""

Key = TypeVar("Key", bound=Hashable)


class LabelChanges(msgspec.Struct):
    """What changed since it was last asked.

    Args:
        items: new, changed and removed items, and those that inherit otherwise.
        pairs: all labels, old and new, of items that were put or removed.
        names: labels that items inherit otherwise.
    """

    items: BitMap = msgspec.field(default_factory=BitMap)
    pairs: set[Pair] = msgspec.field(default_factory=set)
    names: set[str] = msgspec.field(default_factory=set)


class LabelIndex:
    """Items are small integers that the caller chooses; parents are named and may be unknown.

    Args (attributes):
        items: all items.
        touched: how many items were visited one by one, since the start.
    """

    def __init__(self) -> None:
        self.items = BitMap()
        self.touched = 0
        self._changes = LabelChanges()
        self._shapes: list[Shape | None] = []
        self._shared: Interner[Shape] = Interner()
        self._effective: dict[str, dict[str, BitMap]] = {}
        self._present: dict[str, BitMap] = {}
        self._carriers: dict[str, BitMap] = {}
        self._siblings: dict[Parents, BitMap] = {}
        self._families: dict[str, set[Parents]] = {}
        self._parent_labels: dict[str, dict[str, str]] = {}

    # Reading

    def having(self, label: str) -> BitMap:
        """Items that have the label; not to be modified."""
        return self._present.get(label, BitMap())

    def valued(self, label: str, value: str) -> BitMap:
        """Items whose label has the value; not to be modified."""
        return self._effective.get(label, {}).get(value, BitMap())

    def values(self, label: str) -> Mapping[str, BitMap]:
        """Every value of a label and its items; not to be modified."""
        return self._effective.get(label, {})

    def labels(self, item: int) -> dict[str, str]:
        """The effective labels of one item."""
        shape = self._shapes[item]
        return {} if shape is None else dict(self._pairs(shape))

    def is_empty(self) -> bool:
        """Whether nothing at all is held."""
        return not any((self.items, self._shared, self._effective, self._present, self._carriers, self._siblings))

    # Writing

    def put(self, item: int, labels: Labels, parents: Parents) -> None:
        """Add an item or replace its own labels and its parents, which are in order of precedence."""
        self.touched += 1
        self._make_room(item)
        old = self._shapes[item]
        if old != (labels, parents):
            if old is not None:
                self._forget(item, old)
            self._remember(item, (labels, parents))
        self._note(item)

    def remove(self, item: int) -> None:
        """Take an item out."""
        self.touched += 1
        shape = self._shapes[item]
        if shape is not None:
            self._forget(item, shape)

    def touch(self, item: int) -> None:
        """Have an item looked at again although its labels are the same."""
        self._note(item)

    def set_parent(self, parent: str, labels: Mapping[str, str] | None) -> None:
        """Change what a parent's children inherit; None when it is gone."""
        families = list(self._families.get(parent, ()))
        before = [self._inherited(family) for family in families]
        if labels:
            self._parent_labels[parent] = dict(labels)
        else:
            self._parent_labels.pop(parent, None)
        for family, old in zip(families, before, strict=True):
            self._reinherit(self._siblings[family], old, self._inherited(family))

    def take_changes(self) -> LabelChanges:
        """Everything since the last call."""
        changes, self._changes = self._changes, LabelChanges()
        return changes

    # Inside

    def _make_room(self, item: int) -> None:
        self._shapes += [None] * (item + 1 - len(self._shapes))

    def _remember(self, item: int, shape: Shape) -> None:
        shape = self._shapes[item] = self._shared.acquire(shape)
        labels, parents = shape
        self.items.add(item)
        for label, value in self._pairs(shape):
            _add(self._effective.setdefault(label, {}), value, item)
            _add(self._present, label, item)
        for label, _ in labels:
            _add(self._carriers, label, item)
        if parents not in self._siblings:
            for parent in parents:
                self._families.setdefault(parent, set()).add(parents)
        _add(self._siblings, parents, item)

    def _forget(self, item: int, shape: Shape) -> None:
        self._note(item)
        self._shapes[item] = None
        labels, parents = shape
        one = BitMap((item,))
        self.items.discard(item)
        for label, value in self._pairs(shape):
            self._leave(label, value, one)
        for label, _ in labels:
            _discard(self._carriers, label, one)
        _discard(self._siblings, parents, one)
        if parents not in self._siblings:
            self._disband(parents)
        self._shared.release(shape)

    def _disband(self, parents: Parents) -> None:
        for parent in set(parents):
            self._families[parent].discard(parents)
            if not self._families[parent]:
                del self._families[parent]

    def _note(self, item: int) -> None:
        self._changes.items.add(item)
        shape = self._shapes[item]
        if shape is not None:
            self._changes.pairs.update(self._pairs(shape))

    def _pairs(self, shape: Shape) -> Iterable[Pair]:
        """The effective labels."""
        labels, parents = shape
        inherited = self._inherited(parents)
        return (inherited | dict(labels)).items() if inherited else labels

    def _inherited(self, parents: Parents) -> dict[str, str]:
        merged: dict[str, str] = {}
        for parent in reversed(parents):
            merged |= self._parent_labels.get(parent, {})
        return merged

    def _reinherit(self, family: BitMap, old: dict[str, str], new: dict[str, str]) -> None:
        for label in _different(old, new):
            heirs = family - self._carriers.get(label, BitMap())
            if label in old:
                self._leave(label, old[label], heirs)
            if label in new:
                self._enter(label, new[label], heirs)
            self._changes.items |= heirs
            self._changes.names.add(label)

    def _enter(self, label: str, value: str, items: BitMap) -> None:
        if items:
            self._effective.setdefault(label, {}).setdefault(value, BitMap()).update(items)
            self._present.setdefault(label, BitMap()).update(items)

    def _leave(self, label: str, value: str, items: BitMap) -> None:
        if items:
            _discard(self._effective[label], value, items)
            if not self._effective[label]:
                del self._effective[label]
            _discard(self._present, label, items)


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    return (label for label in old.keys() | new.keys() if old.get(label) != new.get(label))


def _add(table: dict[Key, BitMap], key: Key, item: int) -> None:
    bitmap = table.get(key)
    if bitmap is None:
        bitmap = table[key] = BitMap()
    bitmap.add(item)


def _discard(table: dict[Key, BitMap], key: Key, items: BitMap) -> None:
    """Take items out of a bitmap and drop it when it is empty."""
    table[key] -= items
    if not table[key]:
        del table[key]
