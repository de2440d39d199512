"""Selectors in use and the items each selects, kept up to date by looking only at those that could change."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from pyroaring import BitMap

from tortie.calculation.labels import LabelChanges, LabelIndex
from tortie.calculation.matching import Anchor, anchors_of, labels_of, select
from tortie.calculation.multimap import Multimap
from tortie.calculation.steps import Steps
from tortie.selector.parser import Selector


class Selection(msgspec.Struct, gc=False):
    """A selector and the items it selects.

    Args:
        universe: the items among which it selects, as they are at any time; not modified.
        anchors: every selected item has one of these; None when nothing is known.
        users: how often it was acquired and not released.
        misses: how often it was looked at, since it has these anchors, and nothing had changed.
    """

    selector: Selector
    items: BitMap
    universe: BitMap
    anchors: tuple[Anchor, ...] | None
    users: int = 0
    misses: int = 0


class SelectionChange(msgspec.Struct, gc=False):
    """A selection that was looked at again: which of the changed items it held before and holds now."""

    selection: Selection
    before: BitMap
    now: BitMap


class Selections:
    """Selections, one per canonical text.

    Args:
        universe: the items among which a selector selects: always the same object for a selector; not modified.

    Args (attributes):
        evaluations: how many times a selector was evaluated, since the start.
    """

    def __init__(self, index: LabelIndex, universe: Callable[[Selector], BitMap]) -> None:
        self.evaluations = 0
        self._index = index
        self._universe = universe
        self._selections: dict[str, Selection] = {}
        self._anchored: dict[str, Multimap[str | None, str]] = {}
        self._unanchored: set[str] = set()
        self._conditional: Multimap[str, str] = Multimap()

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

    def refresh(self, changes: LabelChanges) -> Steps[list[SelectionChange]]:
        """Look again at every selection that the changes could concern."""
        found: list[SelectionChange] = []
        for text in sorted(self._candidates(changes)) if changes.items else ():
            change = self._reexamine(self._selections[text], changes.items)
            found += [change] if change else []
            yield
        return found

    def _open(self, selector: Selector) -> Selection:
        anchors = anchors_of(selector, self._index, self._crowd)
        universe = self._universe(selector)
        items = self._evaluate(selector, universe)
        selection = Selection(selector, items, universe, anchors)
        self._selections[selector.canonical] = selection
        self._file(selection)
        return selection

    def _close(self, selection: Selection) -> None:
        del self._selections[selection.selector.canonical]
        self._unfile(selection)

    def _file(self, selection: Selection) -> None:
        """Make it found: by its anchors, and when inheritance changes also by every other label."""
        text = selection.selector.canonical
        if selection.anchors is None:
            self._unanchored.add(text)
            return
        for label, value in selection.anchors:
            if label not in self._anchored:
                self._anchored[label] = Multimap()
            self._anchored[label].add(value, text)
        for label in _others(selection):
            self._conditional.add(label, text)

    def _unfile(self, selection: Selection) -> None:
        text = selection.selector.canonical
        self._unanchored.discard(text)
        if selection.anchors is None:
            return
        for label, value in selection.anchors:
            self._anchored[label].discard(value, text)
            if not self._anchored[label]:
                del self._anchored[label]
        for label in _others(selection):
            self._conditional.discard(label, text)

    def _crowd(self, anchor: Anchor) -> int:
        label, value = anchor
        texts = self._anchored.get(label)
        return len(texts.of(value)) if texts else 0

    def _evaluate(self, selector: Selector, within: BitMap) -> BitMap:
        self.evaluations += 1
        return select(selector.root, self._index, within)

    def _reexamine(self, selection: Selection, changed: BitMap) -> SelectionChange | None:
        before = selection.items & changed
        now = self._evaluate(selection.selector, changed & selection.universe)
        if not before and not now:
            self._missed(selection)
            return None
        selection.items -= before
        selection.items |= now
        return SelectionChange(selection, before, now)

    def _missed(self, selection: Selection) -> None:
        """Labels that few had once may be those of many now; looked into ever more rarely."""
        selection.misses += 1
        if selection.anchors is None or selection.misses & (selection.misses - 1):
            return
        anchors = anchors_of(selection.selector, self._index, self._crowd)
        if anchors != selection.anchors:
            self._unfile(selection)
            selection.anchors, selection.misses = anchors, 0
            self._file(selection)

    def _candidates(self, changes: LabelChanges) -> set[str]:
        if changes.anything:
            return set(self._selections)
        found = set(self._unanchored)
        for label, value in changes.pairs:
            if texts := self._anchored.get(label):
                found.update(texts.of(value), texts.of(None))
        for label in changes.names:
            found.update(self._conditional.of(label))
        return found


def _others(selection: Selection) -> set[str]:
    """The labels that it mentions besides those of its anchors."""
    return labels_of(selection.selector.root).difference([label for label, _ in selection.anchors or ()])
