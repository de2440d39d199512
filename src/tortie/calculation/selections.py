"""Selectors in use and the items each selects, kept up to date by looking only at those that could change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import msgspec
from pyroaring import BitMap

from tortie.calculation.labels import LabelChanges, LabelIndex
from tortie.calculation.matching import Anchor, anchors_of, labels_of, select
from tortie.selector.parser import Selector

Key = TypeVar("Key", bound=Hashable)


class Selection(msgspec.Struct):
    """A selector and the items it selects.

    Args:
        anchors: every selected item has one of these; None when nothing is known.
        users: how often it was acquired and not released.
    """

    selector: Selector
    items: BitMap
    anchors: tuple[Anchor, ...] | None
    users: int = 0


class SelectionChange(msgspec.Struct):
    """A selection that was looked at again: which of the changed items it held before and holds now."""

    selection: Selection
    before: BitMap
    now: BitMap


class Selections:
    """Selections, one per canonical text.

    Args:
        universe: the items among which a selector selects; not modified.

    Args (attributes):
        evaluations: how many times a selector was evaluated, since the start.
    """

    def __init__(self, index: LabelIndex, universe: Callable[[Selector], BitMap]) -> None:
        self.evaluations = 0
        self._index = index
        self._universe = universe
        self._selections: dict[str, Selection] = {}
        self._anchored: dict[Anchor, set[str]] = {}
        self._unanchored: set[str] = set()
        self._mentioning: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._selections)

    def acquire(self, selector: Selector) -> Selection:
        """The selection of a selector, as of now; to be released as often as it was acquired."""
        selection = self._selections.get(selector.canonical)
        if selection is None:
            selection = self._open(selector)
        selection.users += 1
        return selection

    def release(self, selection: Selection) -> None:
        """Give back one use."""
        selection.users -= 1
        if not selection.users:
            self._close(selection)

    def refresh(self, changes: LabelChanges) -> list[SelectionChange]:
        """Look again at every selection that the changes could concern."""
        mine = [self._reexamine(self._selections[text], changes.items) for text in sorted(self._candidates(changes))]
        return [change for change in mine if change.before or change.now]

    def _open(self, selector: Selector) -> Selection:
        text = selector.canonical
        anchors = anchors_of(selector, self._index)
        selection = Selection(selector, self._evaluate(selector, self._universe(selector)), anchors)
        self._selections[text] = selection
        for anchor in anchors or ():
            self._anchored.setdefault(anchor, set()).add(text)
        if anchors is None:
            self._unanchored.add(text)
        for label in labels_of(selector.root):
            self._mentioning.setdefault(label, set()).add(text)
        return selection

    def _close(self, selection: Selection) -> None:
        text = selection.selector.canonical
        del self._selections[text]
        self._unanchored.discard(text)
        _unindex(self._anchored, selection.anchors or (), text)
        _unindex(self._mentioning, labels_of(selection.selector.root), text)

    def _evaluate(self, selector: Selector, within: BitMap) -> BitMap:
        self.evaluations += 1
        return select(selector.root, self._index, within)

    def _reexamine(self, selection: Selection, changed: BitMap) -> SelectionChange:
        before = selection.items & changed
        now = self._evaluate(selection.selector, changed & self._universe(selection.selector))
        selection.items -= before
        selection.items |= now
        return SelectionChange(selection, before, now)

    def _candidates(self, changes: LabelChanges) -> set[str]:
        found: set[str] = set(self._unanchored) if changes.items else set()
        for label, value in changes.pairs:
            found |= self._anchored.get((label, value), set())
            found |= self._anchored.get((label, None), set())
        for label in changes.names:
            found |= self._mentioning.get(label, set())
        return found


def _unindex(table: dict[Key, set[str]], keys: Iterable[Key], text: str) -> None:
    for key in keys:
        table[key].discard(text)
        if not table[key]:
            del table[key]
