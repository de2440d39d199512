"""The label index: bitmaps of items per label, label value and parent, with inheritance resolved.

An item's effective value of a label is its own or, failing that, the one of the first of its parents
(profiles) that has the label. The bitmaps hold effective values, so that a selector is set algebra.

Items are indexed a batch at a time, when something is read or enough have come: what they have in
common, they enter in common, and that is most of it when a whole cluster arrives.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec
from pyroaring import BitMap

from tortie.calculation.owners import Owners, take_out

Pair = tuple[str, str]
Labels = tuple[Pair, ...]
Parents = tuple[str, ...]

Key = TypeVar("Key", bound=Hashable)

BATCH = 1024
"""Items that are indexed together at most: few enough that other work does not wait for it."""


NOTED = 1 << 16
"""Labels that are noted as changed at most: what looks for more had better look at everything."""


class LabelChanges(msgspec.Struct):
    """What changed since it was last asked.

    Args:
        items: new, changed and removed items, and those that inherit otherwise.
        pairs: labels, old and new: all those of items that were put or removed, and of the others those that changed.
        names: labels that many items inherit otherwise.
        anything: so many labels changed that they were not noted; any other may have, too.
    """

    items: BitMap = msgspec.field(default_factory=BitMap)
    pairs: set[Pair] = msgspec.field(default_factory=set)
    names: set[str] = msgspec.field(default_factory=set)
    anything: bool = False

    def note(self, pairs: Iterable[Pair]) -> None:
        """Labels changed."""
        if not self.anything:
            self.pairs.update(pairs)
            if len(self.pairs) > NOTED:
                self.anything, self.pairs = True, set()


FEW = 64
"""Heirs of a label that are looked at one by one."""


class Shape(msgspec.Struct, frozen=True, gc=False):
    """All that the index knows of an item: its own labels, and its parents in order of precedence."""

    labels: Labels
    parents: Parents


class _Batch:
    """Items by what they have in common: labels of their own, and parents."""

    def __init__(self) -> None:
        self.carriers: dict[Pair, list[int]] = {}
        self.families: dict[Parents, list[int]] = {}

    def add(self, item: int, labels: Labels, parents: Parents) -> None:
        self.carry(item, labels)
        self.families.setdefault(parents, []).append(item)

    def carry(self, item: int, labels: Iterable[Pair]) -> None:
        """Labels alone."""
        carriers = self.carriers
        for pair in labels:
            if pair in carriers:
                carriers[pair].append(item)
            else:
                carriers[pair] = [item]


class LabelIndex:
    """Items are small integers that the caller chooses; parents are named and may be unknown.

    Args (attributes):
        touched: how many items were visited one by one, since the start.
    """

    def __init__(self) -> None:
        self.touched = 0
        self._changes = LabelChanges()
        self._pending: dict[int, Shape | None] = {}
        self._noted: set[int] = set()
        self._items = BitMap()
        self._labels: list[Labels] = []
        self._parents: list[Parents] = []
        self._pairs: dict[Pair, Pair] = {}
        self._kinships: dict[Parents, Parents] = {}
        self._effective: dict[str, Owners[str]] = {}
        self._present: dict[str, BitMap] = {}
        self._carriers: dict[str, BitMap] = {}
        self._siblings: Owners[Parents] = Owners()
        self._families: dict[str, tuple[Parents, ...]] = {}
        self._parent_labels: dict[str, dict[str, str]] = {}

    # Reading

    @property
    def items(self) -> BitMap:
        """All items; not to be modified."""
        self._settle()
        return self._items

    def having(self, label: str) -> BitMap:
        """Items that have the label; not to be modified."""
        self._settle()
        return self._present.get(label) or BitMap()

    def valued(self, label: str, value: str) -> BitMap:
        """Items whose label has the value; not to be modified."""
        return self.values(label).bitmap(value)

    def values(self, label: str) -> Owners[str]:
        """Every value of a label and its items; not to be modified."""
        self._settle()
        return self._effective.get(label) or Owners()

    def labels(self, item: int) -> dict[str, str]:
        """The effective labels of one item."""
        shape = self.shape(item)
        return {} if shape is None else self._inherited(shape.parents) | dict(shape.labels)

    def shape(self, item: int) -> Shape | None:
        """What an item has of its own; None when there is no such item."""
        if item in self._pending:
            return self._pending[item]
        return Shape(self._labels[item], self._parents[item]) if item in self._items else None

    def is_empty(self) -> bool:
        """Whether nothing at all is held."""
        held = (self.items, self._pairs, self._kinships, self._effective, self._present, self._carriers, self._siblings)
        return not any(held)

    # Writing

    def put(self, item: int, labels: Labels, parents: Parents) -> None:
        """Add an item or replace its own labels and its parents, which are in order of precedence."""
        self.touched += 1
        self._pending[item] = Shape(labels, parents)
        if len(self._pending) >= BATCH:
            self._settle()

    def remove(self, item: int) -> None:
        """Take an item out."""
        self.touched += 1
        self._pending[item] = None

    def touch(self, item: int) -> None:
        """Have an item looked at again although its labels are the same."""
        self._noted.add(item)

    def set_parent(self, parent: str, labels: Mapping[str, str] | None) -> None:
        """Change what a parent's children inherit; None when it is gone."""
        self._settle()
        families = self._families.get(parent, ())
        before = [self._inherited(family) for family in families]
        if labels:
            self._parent_labels[parent] = dict(labels)
        else:
            self._parent_labels.pop(parent, None)
        for family, old in zip(families, before, strict=True):
            self._reinherit(self._siblings.bitmap(family), old, self._inherited(family))

    def take_changes(self) -> LabelChanges:
        """Everything since the last call."""
        self._settle()
        self._note(self._noted)
        self._noted = set()
        changes, self._changes = self._changes, LabelChanges()
        return changes

    # Inside

    def _settle(self) -> None:
        """Index what was put and removed."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        leaving, entering = _Batch(), _Batch()
        self._make_room(max(pending))
        changed = {item: shape for item, shape in pending.items() if not self._is(item, shape)}
        self._note(pending.keys() - changed.keys())
        for item, shape in changed.items():
            if shape is None or item not in self._items or shape.parents != self._parents[item]:
                self._move(item, shape, leaving, entering)
            else:
                self._relabel(item, shape, leaving, entering)
        self._leave_all(leaving)
        self._enter_all(entering)
        for item, shape in changed.items():
            self._store(item, shape or _NOBODY)
        self._changes.items.update(changed)

    def _move(self, item: int, shape: Shape | None, leaving: _Batch, entering: _Batch) -> None:
        """All that it has changes."""
        if item in self._items:
            leaving.add(item, self._labels[item], self._parents[item])
        if shape is not None:
            entering.add(item, shape.labels, shape.parents)

    def _relabel(self, item: int, shape: Shape, leaving: _Batch, entering: _Batch) -> None:
        """Labels change that its parents do not have, as nearly always: only those are indexed again."""
        old, new = self._labels[item], shape.labels
        gone, came = set(old).difference(new), set(new).difference(old)
        inherited = self._inherited(shape.parents)
        if any(label in inherited for label, _ in (*gone, *came)):
            self._move(item, shape, leaving, entering)
            return
        leaving.carry(item, gone)
        entering.carry(item, came)
        self._changes.note(old)
        self._changes.note(inherited.items())

    def _is(self, item: int, shape: Shape | None) -> bool:
        """Whether an item is there, with nothing different."""
        if shape is None or item not in self._items:
            return False
        return self._labels[item] == shape.labels and self._parents[item] == shape.parents

    def _make_room(self, item: int) -> None:
        missing = item + 1 - len(self._labels)
        self._labels += [()] * missing
        self._parents += [()] * missing

    def _store(self, item: int, shape: Shape) -> None:
        """Keep what it has; pairs and parents of several are one object."""
        shared = self._pairs.get
        self._labels[item] = tuple([shared(pair, pair) for pair in shape.labels])
        self._parents[item] = self._kinships.get(shape.parents, shape.parents)

    def _note(self, items: Iterable[int]) -> None:
        """Items whose labels are the same count as changed all the same."""
        for item in items:
            self._changes.items.add(item)
            if item in self._items:
                self._changes.note(self._labels[item])
                self._changes.note(self._inherited(self._parents[item]).items())

    def _leave_all(self, batch: _Batch) -> None:
        for parents, family in batch.families.items():
            items = BitMap(family)
            take_out(self._items, items)
            for label, value in self._inherited(parents).items():
                self._leave(label, value, items - self._carriers.get(label, BitMap()))
            self._changes.note(self._inherited(parents).items())
            self._siblings.difference_update(parents, items)
            if parents not in self._siblings:
                self._disband(parents)
        for (label, value), carriers in batch.carriers.items():
            items = BitMap(carriers)
            _discard(self._carriers, label, items)
            self._leave(label, value, items)
        self._changes.note(batch.carriers)

    def _enter_all(self, batch: _Batch) -> None:
        having: dict[str, list[int]] = {}
        for pair, carriers in batch.carriers.items():
            label, value = pair
            if label not in having:
                having[label] = []
                self._effective.setdefault(label, Owners())
            having[label] += carriers
            owners = self._effective[label]
            owners.update(value, carriers)
            if pair not in self._pairs and owners.count(value) > 1:
                self._pairs[pair] = pair
        for label, carriers in having.items():
            _add(self._carriers, label, carriers)
            _add(self._present, label, carriers)
        self._changes.note(batch.carriers)
        for parents, family in batch.families.items():
            items = BitMap(family)
            self._items |= items
            if parents not in self._siblings:
                self._found(parents)
            self._siblings.update(parents, family)
            for label, value in self._inherited(parents).items():
                self._enter(label, value, items - self._carriers.get(label, BitMap()))
            self._changes.note(self._inherited(parents).items())

    def _found(self, parents: Parents) -> None:
        self._kinships[parents] = parents
        for parent in dict.fromkeys(parents):
            self._families[parent] = (*self._families.get(parent, ()), parents)

    def _disband(self, parents: Parents) -> None:
        del self._kinships[parents]
        for parent in set(parents):
            self._families[parent] = tuple([one for one in self._families[parent] if one != parents])
            if not self._families[parent]:
                del self._families[parent]

    def _inherited(self, parents: Parents) -> dict[str, str]:
        merged: dict[str, str] = {}
        for parent in reversed(parents):
            merged |= self._parent_labels.get(parent, {})
        return merged

    def _reinherit(self, family: BitMap, old: dict[str, str], new: dict[str, str]) -> None:
        for label in _different(old, new):
            heirs = family - self._carriers.get(label, BitMap())
            for values, move in ((old, self._leave), (new, self._enter)):
                if label in values:
                    move(label, values[label], heirs)
                    self._changes.note(((label, values[label]),))
            self._note_heirs(label, heirs)

    def _note_heirs(self, label: str, heirs: BitMap) -> None:
        """Where few inherit otherwise, all that they have leads to fewer selectors than the label does."""
        if len(heirs) <= FEW:
            self.touched += len(heirs)
            self._note(heirs)
        else:
            self._changes.items |= heirs
            self._changes.names.add(label)

    def _enter(self, label: str, value: str, items: BitMap) -> None:
        if items:
            self._effective.setdefault(label, Owners()).update(value, items)
            self._present.setdefault(label, BitMap()).update(items)

    def _leave(self, label: str, value: str, items: BitMap) -> None:
        if not items:
            return
        owners = self._effective[label]
        owners.difference_update(value, items)
        if value not in owners:
            # Nobody has it, so nobody carries it.
            self._pairs.pop((label, value), None)
        if not owners:
            del self._effective[label]
        _discard(self._present, label, items)


_NOBODY = Shape((), ())


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    return (label for label in old.keys() | new.keys() if old.get(label) != new.get(label))


def _add(table: dict[Key, BitMap], key: Key, items: list[int]) -> None:
    bitmap = table.get(key)
    if bitmap is None:
        table[key] = BitMap(items)
    elif len(items) == 1:
        bitmap.add(items[0])
    else:
        bitmap.update(items)


def _discard(table: dict[Key, BitMap], key: Key, items: BitMap) -> None:
    """Take items out of a bitmap and drop it when it is empty."""
    take_out(table[key], items)
    if not table[key]:
        del table[key]
