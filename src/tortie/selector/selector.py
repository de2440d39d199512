"""A selector: its parts together with the canonical text that is its identity."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.base.hashes import unique_id
from tortie.selector.ast import Node
from tortie.selector.restrictions import Restriction, restrictions_of


class Selector(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A parsed selector. Two with the same canonical text are equal.

    Args:
        root: the tree of conditions.
        canonical: its text; parsing it gives the same tree.
    """

    root: Node
    canonical: str

    @classmethod
    def of(cls, root: Node) -> Selector:
        """The selector of a tree.

        Raises:
            InvalidSelector: a value holds both kinds of quotes.
        """
        return cls(root, root.text())

    @property
    def unique_id(self) -> str:
        """The identity of the set of addresses that this selects."""
        return unique_id("s", self.canonical)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is selected."""
        return self.root.matches(labels)

    def restrictions(self) -> dict[str, Restriction]:
        """What is known of the labels of everything selected; labels of which nothing is known are left out."""
        return restrictions_of(self.root)

    def prefixed(self, prefix: str) -> Selector:
        """The same with a prefix before the name of every label."""
        return Selector.of(self.root.prefixed(prefix))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __str__(self) -> str:
        return self.canonical
