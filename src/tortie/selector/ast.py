"""What a selector is made of: conditions on labels, and their negation, conjunction and disjunction.

Every node can judge labels, print its canonical text and rename its labels. The canonical text is
the identity of a selector: one space around operators, double quotes unless the value holds one,
sets sorted, every `&&` and `||` group in parentheses.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.selector.errors import InvalidSelector

Labels = Mapping[str, str]


class Node(msgspec.Struct, frozen=True, gc=False):
    """Any part of a selector."""

    def matches(self, labels: Labels) -> bool:
        """Whether something with these labels is selected."""
        raise NotImplementedError

    def text(self) -> str:
        """The canonical text.

        Raises:
            InvalidSelector: a value holds both kinds of quotes, for which the language has no spelling.
        """
        raise NotImplementedError

    def prefixed(self, prefix: str) -> Node:
        """The same with a prefix before the name of every label."""
        raise NotImplementedError


class All(Node, frozen=True, gc=False):
    """Selects everything."""

    def matches(self, labels: Labels) -> bool:
        return True

    def text(self) -> str:
        return "all()"

    def prefixed(self, prefix: str) -> Node:
        return self


class Global(All, frozen=True, gc=False):
    """Selects everything; as the namespace selector of a rule, what is in no namespace."""

    def text(self) -> str:
        return "global()"


class Condition(Node, frozen=True, gc=False):
    """A condition on one label."""

    label: str

    def accepts(self, value: str | None) -> bool:
        """Whether the label may have this value; None stands for no such label."""
        raise NotImplementedError

    def matches(self, labels: Labels) -> bool:
        return self.accepts(labels.get(self.label))

    def prefixed(self, prefix: str) -> Node:
        return msgspec.structs.replace(self, label=prefix + self.label)


class Has(Condition, frozen=True, gc=False):
    """The label is there."""

    def accepts(self, value: str | None) -> bool:
        return value is not None

    def text(self) -> str:
        return f"has({self.label})"


class Equal(Condition, frozen=True, gc=False):
    """The label is there and has the value."""

    value: str

    def accepts(self, value: str | None) -> bool:
        return value == self.value

    def text(self) -> str:
        return f"{self.label} == {quoted(self.value)}"


class NotEqual(Condition, frozen=True, gc=False):
    """The label is not there or has another value."""

    value: str

    def accepts(self, value: str | None) -> bool:
        return value != self.value

    def text(self) -> str:
        return f"{self.label} != {quoted(self.value)}"


class In(Condition, frozen=True, gc=False):
    """The label is there and has one of the values."""

    values: frozenset[str]

    def accepts(self, value: str | None) -> bool:
        return value in self.values

    def text(self) -> str:
        return f"{self.label} in {_set(self.values)}"


class NotIn(Condition, frozen=True, gc=False):
    """The label is not there or has none of the values."""

    values: frozenset[str]

    def accepts(self, value: str | None) -> bool:
        return value not in self.values

    def text(self) -> str:
        return f"{self.label} not in {_set(self.values)}"


class Contains(Condition, frozen=True, gc=False):
    """The label is there and its value contains this."""

    value: str

    def accepts(self, value: str | None) -> bool:
        return value is not None and self.value in value

    def text(self) -> str:
        return f"{self.label} contains {quoted(self.value)}"


class StartsWith(Condition, frozen=True, gc=False):
    """The label is there and its value starts with this."""

    value: str

    def accepts(self, value: str | None) -> bool:
        return value is not None and value.startswith(self.value)

    def text(self) -> str:
        return f"{self.label} starts with {quoted(self.value)}"


class EndsWith(Condition, frozen=True, gc=False):
    """The label is there and its value ends with this."""

    value: str

    def accepts(self, value: str | None) -> bool:
        return value is not None and value.endswith(self.value)

    def text(self) -> str:
        return f"{self.label} ends with {quoted(self.value)}"


class Not(Node, frozen=True, gc=False):
    """The operand does not match. Made by `negation`, so that its operand is no `Not`."""

    operand: Node

    def matches(self, labels: Labels) -> bool:
        return not self.operand.matches(labels)

    def text(self) -> str:
        return f"!{self.operand.text()}"

    def prefixed(self, prefix: str) -> Node:
        return Not(self.operand.prefixed(prefix))


class And(Node, frozen=True, gc=False):
    """All of two or more operands match."""

    operands: tuple[Node, ...]

    def matches(self, labels: Labels) -> bool:
        return all(operand.matches(labels) for operand in self.operands)

    def text(self) -> str:
        return f"({' && '.join([operand.text() for operand in self.operands])})"

    def prefixed(self, prefix: str) -> Node:
        return And(tuple([operand.prefixed(prefix) for operand in self.operands]))


class Or(Node, frozen=True, gc=False):
    """At least one of two or more operands matches."""

    operands: tuple[Node, ...]

    def matches(self, labels: Labels) -> bool:
        return any(operand.matches(labels) for operand in self.operands)

    def text(self) -> str:
        return f"({' || '.join([operand.text() for operand in self.operands])})"

    def prefixed(self, prefix: str) -> Node:
        return Or(tuple([operand.prefixed(prefix) for operand in self.operands]))


def negation(node: Node) -> Node:
    """The opposite of a node. Two negations cancel, as their text `!!` does."""
    return node.operand if isinstance(node, Not) else Not(node)


def quoted(value: str) -> str:
    """A value as it stands in the canonical text.

    Raises:
        InvalidSelector: it holds both kinds of quotes.
    """
    if '"' not in value:
        return f'"{value}"'
    if "'" not in value:
        return f"'{value}'"
    raise InvalidSelector(value, 0, "a value holds both kinds of quotes")


def _set(values: frozenset[str]) -> str:
    return f"{{{', '.join([quoted(value) for value in sorted(values)])}}}"
