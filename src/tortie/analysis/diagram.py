"""Interval decision diagrams: functions of a few bounded integers, canonical, so that equal functions are one object.

A node looks at one variable. Its `cuts` are where the pieces of the variable's range begin, its
`children` what remains to be decided in each. Variables are numbered, and no node stands below one
of a higher number; neighbouring pieces never have the same child, and a node never has a single
piece. Nodes are made by one forest only, once each: two functions are the same when they are one object.

The idea is that of decision diagrams (Bryant 1986, Graph-Based Algorithms for Boolean Function
Manipulation), with intervals in the place of bits.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

LEAF = 1 << 30
"""The variable of leaves: below all others."""

Intervals = Sequence[tuple[int, int]]
"""First and last value of each, ascending; they neither overlap nor touch."""


class Node:
    """A function. Leaves have a `value`, other nodes `cuts` (the first is 0) and as many `children`."""

    __slots__ = ("children", "cuts", "value", "variable")

    def __init__(
        self, variable: int, cuts: tuple[int, ...], children: tuple[Node, ...], value: Hashable = None
    ) -> None:
        self.variable = variable
        self.cuts = cuts
        self.children = children
        self.value = value

    @property
    def is_leaf(self) -> bool:
        """Whether nothing is left to decide."""
        return self.variable == LEAF

    def at(self, value: int) -> Node:
        """The child for a value of the node's variable."""
        return self.children[bisect.bisect_right(self.cuts, value) - 1]

    def pieces(self) -> Iterator[tuple[int, int | None, Node]]:
        """First and last value of each piece (None: the last there is), and the child."""
        for index, child in enumerate(self.children):
            last = self.cuts[index + 1] - 1 if index + 1 < len(self.cuts) else None
            yield self.cuts[index], last, child


class Forest:
    """Makes nodes and remembers them, and what was made of them.

    Args:
        sizes: how many values each variable has, by its number; they are 0 and up.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        self._leaves: dict[Hashable, Node] = {}
        self._nodes: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Node] = {}
        self._chosen: dict[tuple[int, int, int], Node] = {}
        self.nothing = self.leaf(False)
        self.everything = self.leaf(True)

    def leaf(self, value: Hashable) -> Node:
        """The function that is this everywhere."""
        found = self._leaves.get(value)
        if found is None:
            found = self._leaves[value] = Node(LEAF, (), (), value)
        return found

    def node(self, variable: int, cuts: Sequence[int], children: Sequence[Node]) -> Node:
        """A function by the pieces of one variable; neighbours may be the same."""
        kept = [index for index, child in enumerate(children) if not index or child is not children[index - 1]]
        if len(kept) == 1:
            return children[0]
        if len(kept) != len(children):
            cuts, children = [cuts[index] for index in kept], [children[index] for index in kept]
        key = (variable, tuple(cuts), tuple(map(id, children)))
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Node(variable, key[1], tuple(children))
        return found

    def among(self, variable: int, intervals: Intervals, inside: Node | None = None, size: int = 0) -> Node:
        """`inside` (everything) where the variable is in one of the intervals, else nothing.

        Args:
            size: how many values the variable has here, if fewer than anywhere.
        """
        inside = self.everything if inside is None else inside
        end = size or self._sizes[variable]
        cuts, children = [0], [self.nothing]
        for first, last in intervals:
            if first == 0:
                cuts, children = [], []
            cuts += [first, last + 1] if last + 1 < end else [first]
            children += [inside, self.nothing] if last + 1 < end else [inside]
        return self.node(variable, cuts, children)

    def where(self, condition: Node, then: Node, otherwise: Node) -> Node:
        """`then` where the condition holds, elsewhere `otherwise`."""
        if condition is self.everything or then is otherwise:
            return then
        if condition is self.nothing:
            return otherwise
        if then is self.everything and otherwise is self.nothing:
            return condition
        key = (id(condition), id(then), id(otherwise))
        found = self._chosen.get(key)
        if found is None:
            found = self._chosen[key] = self._spread((condition, then, otherwise), lambda parts: self.where(*parts))
        return found

    def both(self, left: Node, right: Node) -> Node:
        """Where both hold."""
        return self.where(left, right, self.nothing)

    def either(self, left: Node, right: Node) -> Node:
        """Where at least one holds."""
        return self.where(left, self.everything, right)

    def without(self, left: Node, right: Node) -> Node:
        """Where the first holds and the second does not."""
        return self.where(right, self.nothing, left)

    def opposite(self, node: Node) -> Node:
        """Where it does not hold."""
        return self.where(node, self.nothing, self.everything)

    def combined(self, nodes: tuple[Node, ...], of: Callable[[tuple[Hashable, ...]], Hashable]) -> Node:
        """The function of what others are, value by value."""
        known: dict[tuple[int, ...], Node] = {}

        def combine(parts: tuple[Node, ...]) -> Node:
            key = tuple(map(id, parts))
            if key not in known:
                if all(part.is_leaf for part in parts):
                    known[key] = self.leaf(of(tuple(part.value for part in parts)))
                else:
                    known[key] = self._spread(parts, combine)
            return known[key]

        return combine(nodes)

    def mapped(self, node: Node, of: Callable[[Hashable], Hashable]) -> Node:
        """The function of what another is, value by value."""
        return self.combined((node,), lambda values: of(values[0]))

    def _spread(self, nodes: tuple[Node, ...], make: Callable[[tuple[Node, ...]], Node]) -> Node:
        """Make something of several nodes, piece by piece of the uppermost variable among them."""
        variable = min(node.variable for node in nodes)
        looking = [node for node in nodes if node.variable == variable]
        cuts = sorted(set().union(*(node.cuts for node in looking))) if len(looking) > 1 else list(looking[0].cuts)
        columns = [_stretched(node, cuts) if node.variable == variable else [node] * len(cuts) for node in nodes]
        return self.node(variable, cuts, [make(parts) for parts in zip(*columns, strict=True)])


def _stretched(node: Node, cuts: list[int]) -> list[Node]:
    """The child of a node for each of the pieces that finer cuts make."""
    if len(cuts) == len(node.cuts):
        return list(node.children)
    found, index, last = [], 0, len(node.cuts) - 1
    for cut in cuts:
        while index < last and node.cuts[index + 1] <= cut:
            index += 1
        found.append(node.children[index])
    return found


def value_at(node: Node, values: Mapping[int, int]) -> Hashable:
    """What the function is where variables have these values (those that are not given are 0)."""
    while not node.is_leaf:
        node = node.at(values.get(node.variable, 0))
    return node.value


def leaves(node: Node) -> set[Hashable]:
    """All values that the function takes somewhere."""
    seen: set[int] = set()
    found: set[Hashable] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.is_leaf:
            found.add(one.value)
        waiting += one.children
    return found


Path = dict[int, tuple[int, int | None]]
"""First and last value (None: the last there is) of each variable that was looked at."""


def paths(node: Node) -> Iterator[tuple[Path, Hashable]]:
    """Every way to a leaf that is not False, and the value there."""
    if node.is_leaf:
        if node.value is not False:
            yield {}, node.value
        return
    for first, last, child in node.pieces():
        for path, value in paths(child):
            yield {node.variable: (first, last), **path}, value


def intervals_of(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in any order, merged where they overlap or touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
