"""Selector texts to selectors.

    selector := "" | or
    or       := and ("||" and)*
    and      := unary ("&&" unary)*
    unary    := "!"* ("all()" | "global()" | "has(" label ")" | "(" or ")" | label operator value)

`!` binds to the next primary only. Open parentheses are kept on a list instead of the call stack, so
that no text can exhaust it.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from tortie.selector import ast
from tortie.selector.errors import InvalidSelector
from tortie.selector.selector import Selector
from tortie.selector.tokens import Kind, Token, tokenize

__all__ = ["Selector", "parse"]

MAX_DEPTH = 100
"""How deep `&&` and `||` groups may stand in each other; redundant parentheses and `!` do not count."""

_COMPARISONS: dict[str, type[ast.Equal | ast.NotEqual | ast.Contains | ast.StartsWith | ast.EndsWith]] = {
    "==": ast.Equal,
    "!=": ast.NotEqual,
    "contains": ast.Contains,
    "starts with": ast.StartsWith,
    "ends with": ast.EndsWith,
}

_MEMBERSHIPS: dict[str, type[ast.In | ast.NotIn]] = {"in": ast.In, "not in": ast.NotIn}


_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256
"""How many of the last texts are remembered, and up to how many characters: rules repeat few of them."""


def parse(text: str) -> Selector:
    """Read a selector; an empty or blank text selects everything.

    Raises:
        InvalidSelector: the text is not a selector, is nested too deeply or is not valid Unicode.
    """
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _parse(text)


@lru_cache(_REMEMBERED)
def _remembered(text: str) -> Selector:
    return _parse(text)


def _parse(text: str) -> Selector:
    _check_unicode(text)
    parser = _Parser(text)
    return Selector.of(ast.All() if parser.takes(Kind.END) else parser.expression())


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidSelector(text, error.start, "half a surrogate pair is not a character") from error


class _Group(msgspec.Struct):
    """A parenthesis that is open, or the whole text: a disjunction of conjunctions.

    Args:
        negated: whether a `!` stands before it.
        alternatives: operands of each `&&`, separated by `||`.
        depth: of the deepest operand.
    """

    negated: bool = False
    alternatives: list[list[ast.Node]] = msgspec.field(default_factory=lambda: [[]])
    depth: int = 0

    def add(self, operand: ast.Node, depth: int) -> None:
        self.alternatives[-1].append(operand)
        self.depth = max(self.depth, depth)

    def close(self) -> tuple[ast.Node, int]:
        """The node that the group stands for, and its depth."""
        conjunctions = [ast.And(tuple(parts)) if len(parts) > 1 else parts[0] for parts in self.alternatives]
        node = ast.Or(tuple(conjunctions)) if len(conjunctions) > 1 else conjunctions[0]
        levels = (len(conjunctions) > 1) + any(len(parts) > 1 for parts in self.alternatives)
        return ast.negation(node) if self.negated else node, self.depth + levels


class _Parser:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next = next(self._tokens)

    def expression(self) -> ast.Node:
        """The node of the whole text."""
        groups = [_Group()]
        while True:
            negated = self._negations() % 2 == 1
            if self.takes(Kind.OPEN):
                groups.append(_Group(negated))
                continue
            primary = self._primary()
            groups[-1].add(ast.negation(primary) if negated else primary, 0)
            while len(groups) > 1 and self.takes(Kind.CLOSE):
                node, depth = self._closed(groups.pop())
                groups[-1].add(node, depth)
            if self.takes(Kind.OR):
                groups[-1].alternatives.append([])
            elif not self.takes(Kind.AND):
                self._expect(Kind.CLOSE if len(groups) > 1 else Kind.END)
                return self._closed(groups[0])[0]

    def takes(self, kind: Kind) -> bool:
        """Step over the next token if it is of this kind."""
        found = self._next.kind is kind
        if found and kind is not Kind.END:
            self._next = next(self._tokens)
        return found

    def _closed(self, group: _Group) -> tuple[ast.Node, int]:
        node, depth = group.close()
        if depth > MAX_DEPTH:
            problem = f"groups stand more than {MAX_DEPTH} deep in each other"
            raise InvalidSelector(self._text, self._next.position, problem)
        return node, depth

    def _negations(self) -> int:
        count = 0
        while self.takes(Kind.NOT):
            count += 1
        return count

    def _primary(self) -> ast.Node:
        token = self._next
        if self.takes(Kind.ALL):
            return ast.All()
        if self.takes(Kind.GLOBAL):
            return ast.Global()
        if self.takes(Kind.HAS):
            return ast.Has(token.content)
        if self.takes(Kind.LABEL):
            return self._comparison(token.content)
        raise self._unexpected("a condition")

    def _comparison(self, label: str) -> ast.Node:
        operator = self._expect(Kind.OPERATOR).content
        if operator in _MEMBERSHIPS:
            return _MEMBERSHIPS[operator](label, self._set())
        return _COMPARISONS[operator](label, self._expect(Kind.VALUE).content)

    def _set(self) -> frozenset[str]:
        """`{`, values separated by commas, perhaps a comma after the last one, `}`."""
        values: list[str] = []
        self._expect(Kind.OPEN_SET)
        while self._next.kind is Kind.VALUE:
            values.append(self._expect(Kind.VALUE).content)
            if not self.takes(Kind.COMMA):
                break
        self._expect(Kind.CLOSE_SET)
        return frozenset(values)

    def _expect(self, kind: Kind) -> Token:
        token = self._next
        if not self.takes(kind):
            raise self._unexpected(kind.value)
        return token

    def _unexpected(self, wanted: str) -> InvalidSelector:
        problem = f"expected {wanted}, found {self._next.kind.value}"
        return InvalidSelector(self._text, self._next.position, problem)
