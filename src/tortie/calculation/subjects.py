"""Subjects: the endpoints of this node that policies can select, as items of the label index."""

from __future__ import annotations

from collections.abc import Iterable

from pyroaring import BitMap

from tortie.calculation.labels import LabelChanges, LabelIndex
from tortie.desired.policy import Stage


class Subjects:
    """Workloads that are programmed, and host endpoints.

    Args (attributes):
        items: all of them.
        of_stage: those that policies of each stage can govern.
    """

    def __init__(self, labels: LabelIndex) -> None:
        self.items = BitMap()
        self.of_stage: dict[Stage, BitMap] = {stage: BitMap() for stage in Stage}
        self._labels = labels
        self._left = BitMap()

    def enter(self, item: int, stages: Iterable[Stage] = (Stage.NORMAL,)) -> None:
        """From now on policies of these stages may govern it."""
        self.items.add(item)
        for stage in stages:
            self.of_stage[stage].add(item)
        self._labels.touch(item)

    def leave(self, item: int) -> None:
        """Policies govern it no longer."""
        self.items.discard(item)
        for items in self.of_stage.values():
            items.discard(item)
        self._left.add(item)
        self._labels.touch(item)

    def concerned(self, changes: LabelChanges) -> LabelChanges:
        """What of the changes concerns subjects, or what was one when this was last called."""
        items = changes.items & (self.items | self._left)
        self._left = BitMap()
        return LabelChanges(items, changes.pairs, changes.names, changes.anything) if items else LabelChanges()

    def is_empty(self) -> bool:
        """Whether there are none."""
        return not (self.items or any(self.of_stage.values()))
