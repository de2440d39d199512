"""The words of the selector language.

Words are operators only directly after a label, so a label may be called `in` or `contains`. White
space is the space and the tab; a newline stands only inside a quoted value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

import msgspec

from tortie.selector.errors import InvalidSelector

MAX_LABEL_LENGTH = 512
"""Longest label name, in characters."""


class Kind(Enum):
    """What a token is; the value is its name in messages."""

    ALL = "all()"
    GLOBAL = "global()"
    HAS = "has(label)"
    LABEL = "a label"
    OPERATOR = "an operator"
    VALUE = "a quoted value"
    AND = "&&"
    OR = "||"
    NOT = "!"
    OPEN = "("
    CLOSE = ")"
    OPEN_SET = "{"
    CLOSE_SET = "}"
    COMMA = ","
    END = "the end"


class Token(msgspec.Struct, frozen=True, gc=False):
    """A token, its content (label, operator or value) and the number of characters before it."""

    kind: Kind
    content: str
    position: int


_SPACE = re.compile(r"[ \t]*")

_OPERATOR = re.compile(
    r"(?P<symbol>==|!=)|(?P<word>contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)(?![A-Za-z0-9_./-])"
)

_SPELLING = {"startswith": "starts with", "endswith": "ends with", "notin": "not in"}

# `all(`, `global(` and `has(` come before labels: without the parenthesis they are labels.
_TOKEN = re.compile(
    r"""
      (?P<ALL>all\([ \t]*\))
    | (?P<GLOBAL>global\([ \t]*\))
    | has\([ \t]*(?P<HAS>[A-Za-z0-9_./-]+)[ \t]*\)
    | (?P<LABEL>[A-Za-z0-9_./-]+)
    | "(?P<DOUBLE>[^"]*)"
    | '(?P<SINGLE>[^']*)'
    | (?P<AND>&&) | (?P<OR>\|\|) | (?P<NOT>!)
    | (?P<OPEN>\() | (?P<CLOSE>\)) | (?P<OPEN_SET>\{) | (?P<CLOSE_SET>\}) | (?P<COMMA>,)
    """,
    re.VERBOSE,
)

_LABEL = re.compile(r"[A-Za-z0-9_./-]+")

_QUOTED = {"DOUBLE", "SINGLE"}


def is_label(text: str) -> bool:
    """Whether a text can be the name of a label in a selector."""
    return len(text) <= MAX_LABEL_LENGTH and _LABEL.fullmatch(text) is not None


def tokenize(text: str) -> Iterator[Token]:
    """The tokens of a text, ended by one of kind `END`.

    Raises:
        InvalidSelector: no token begins at some place.
    """
    position = _after_space(text, 0)
    while position < len(text):
        token, end = _token(text, position)
        yield token
        position = _after_space(text, end)
        if token.kind is Kind.LABEL:
            operator, end = _operator(text, position, token.content)
            yield operator
            position = _after_space(text, end)
    yield Token(Kind.END, "", len(text))


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _token(text: str, position: int) -> tuple[Token, int]:
    match = _TOKEN.match(text, position)
    if match is None or match.lastgroup is None:
        raise InvalidSelector(text, position, _unknown(text[position]))
    name, content = match.lastgroup, match[match.lastgroup]
    kind = Kind.VALUE if name in _QUOTED else Kind[name]
    if kind in (Kind.LABEL, Kind.HAS) and len(content) > MAX_LABEL_LENGTH:
        raise InvalidSelector(text, position, f"a label is longer than {MAX_LABEL_LENGTH} characters")
    return Token(kind, content, position), match.end()


def _unknown(character: str) -> str:
    if character in "\"'":
        return "a quoted value has no end"
    if character in "&|":
        return f"expected {character}{character}"
    return f"unexpected {character!r}"


def _operator(text: str, position: int, label: str) -> tuple[Token, int]:
    match = _OPERATOR.match(text, position)
    if match is None:
        raise InvalidSelector(text, position, f"expected an operator after the label {label}")
    word = re.sub(r"[ \t]", "", match[0])
    return Token(Kind.OPERATOR, _SPELLING.get(word, word), position), match.end()
