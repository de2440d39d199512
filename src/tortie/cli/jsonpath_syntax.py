"""What a JSONPath template consists of, and how its text is read: kubectl's dialect.

    template := (text | "{" action "}")*
    action   := "range" path | "end" | quoted | path
    path     := ("@" | "$")? step*
    step     := "." name | ".." name | ".*" | "[" inside "]"
    inside   := "*" | number | start? ":" stop? (":" step?)? | quoted | a comma-separated list of these
              | "?(" operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)? ")"
    operand  := path | quoted | number | "true" | "false"

A backslash makes the next character part of a name: `{.metadata.labels.kubernetes\\.io/hostname}`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tortie.base.errors import TortieError


class InvalidTemplate(TortieError):
    """The template is not one that can be read; `position` counts characters from 0."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        self.position = position
        shown = text.replace("\n", " ").replace("\t", " ")
        super().__init__(f"{problem}, at character {position + 1}\n  {shown}\n  {' ' * position}^")


class Text(msgspec.Struct, frozen=True):
    """Printed as it is."""

    text: str


class Key(msgspec.Struct, frozen=True):
    """A field of a mapping; in brackets, dots may lead deeper: `['metadata.name']`."""

    name: str
    deeper: tuple[str, ...] = ()


class Everything(msgspec.Struct, frozen=True):
    """All items of a list, all values of a mapping."""


class Item(msgspec.Struct, frozen=True):
    """One item of a list; a negative index counts from the end."""

    index: int


class Slice(msgspec.Struct, frozen=True):
    """Some items of a list, as Python slices them."""

    start: int | None
    stop: int | None
    step: int | None


class Descend(msgspec.Struct, frozen=True):
    """The value, and everything in it, however deep."""


class Union(msgspec.Struct, frozen=True):
    """What each of several steps gives, one after the other."""

    steps: tuple[Key | Item | Slice | Everything, ...]


class Path(msgspec.Struct, frozen=True):
    """Steps from the current value, or from the root."""

    from_root: bool
    steps: tuple[Any, ...]


class Literal(msgspec.Struct, frozen=True):
    """A value to compare with."""

    value: str | float | bool


class Filter(msgspec.Struct, frozen=True):
    """The items for which a comparison holds, or, without operator, which have the left side."""

    left: Path | Literal
    operator: str
    right: Path | Literal | None


class Range(msgspec.Struct, frozen=True):
    """A part of the template, printed once for each value of a path."""

    path: Path
    body: tuple[Any, ...]


Step = Key | Everything | Item | Slice | Descend | Union | Filter
Part = Text | Path | Range

_NAME = re.compile(r"(?:\\.|[^\s\\.\[\]{}()'\",=!<>@$*?:|&])+")
DEEPEST = 30
"""Ranges in ranges, or conditions in conditions."""

_TOO_DEEP = "is nested too deeply"
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_SLICE = re.compile(r"\s*([-+]?[0-9]{1,18})?\s*:\s*([-+]?[0-9]{1,18})?\s*(?::\s*([-+]?[0-9]{1,18})?\s*)?(?=[\],])")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(?:\.[0-9]+)?")
_BOOLEAN = re.compile(r"(true|false)\b")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"", re.DOTALL)
_WORD = re.compile(r"(range|end)\b")
_BLANKS = re.compile(r"\s*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse_template(text: str) -> tuple[Part, ...]:
    """Read a template.

    Raises:
        InvalidTemplate: with the place and what is wrong.
    """
    return _Parser(text).template()


def parse_path(text: str) -> Path:
    """Read a single path, with or without braces and first dot: `{.spec.order}`, `.spec.order`, `spec.order`.

    Raises:
        InvalidTemplate: with the place and what is wrong.
    """
    return _Parser(text).single()


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def template(self) -> tuple[Part, ...]:
        open_ranges: list[tuple[int, Path]] = []
        bodies: list[list[Part]] = [[]]
        while self._at < len(self._text):
            begin = self._at
            if not self._takes("{"):
                bodies[-1].append(Text(self._until_brace()))
                continue
            self._blanks()
            word = self._match(_WORD)
            if word == "end":
                if not open_ranges:
                    raise self._error("there is no range that this could end", begin)
                finished = Range(open_ranges.pop()[1], tuple(bodies.pop()))
                bodies[-1].append(finished)
            elif word == "range":
                self._blanks()
                if len(open_ranges) == DEEPEST:
                    raise self._error(_TOO_DEEP, begin)
                open_ranges.append((begin, self._path()))
                bodies.append([])
            else:
                bodies[-1].extend(self._action())
            self._blanks()
            self._expect("}")
        if open_ranges:
            raise self._error("this range has no {end}", open_ranges[-1][0])
        return tuple(bodies[0])

    def single(self) -> Path:
        self._blanks()
        braced = self._takes("{")
        self._blanks()
        bare = not braced and self._peek() not in "@$.["
        path = Path(False, (self._key(), *self._steps())) if bare else self._path()
        self._blanks()
        if braced:
            self._expect("}")
            self._blanks()
        if self._at < len(self._text):
            raise self._error("one path is expected, and this is more")
        return path

    def _action(self) -> list[Part]:
        parts: list[Part] = []
        while self._peek() not in "}\0":
            if self._peek() in "'\"":
                parts.append(Text(self._quoted()))
            else:
                parts.append(self._path())
            self._blanks()
        if not parts:
            raise self._error("braces must hold a path, a quoted text, range or end")
        return parts

    def _path(self) -> Path:
        begin = self._at
        from_root = self._takes("$")
        current = from_root or self._takes("@")
        steps = self._steps()
        if not steps and not current and not self._takes("."):
            raise self._error(f"a path is expected, which begins with a dot{self._hint()}", begin)
        return Path(from_root, steps)

    def _steps(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        while True:
            if self._takes(".."):
                steps.append(Descend())
                if self._peek() != "[":
                    steps.append(self._named())
            elif self._takes("["):
                steps.append(self._brackets())
            elif self._peek() == "." and self._text[self._at + 1 : self._at + 2] not in ("", "}", " ", ")"):
                self._at += 1
                if self._peek() != "[":
                    steps.append(self._named())
            else:
                return tuple(steps)

    def _named(self) -> Key | Everything:
        return Everything() if self._takes("*") else self._key()

    def _key(self) -> Key:
        name = self._match(_NAME)
        if not name:
            raise self._error("the name of a field is expected")
        return Key(re.sub(r"\\(.)", r"\1", name))

    def _brackets(self) -> Step:
        self._blanks()
        if self._takes("?"):
            return self._filter()
        steps = [self._selected()]
        while self._takes(","):
            self._blanks()
            steps.append(self._selected())
        self._expect("]")
        return steps[0] if len(steps) == 1 else Union(tuple(steps))

    def _selected(self) -> Key | Item | Slice | Everything:
        step: Key | Item | Slice | Everything
        if self._takes("*"):
            step = Everything()
        elif self._peek() in "'\"":
            step = _bracketed(self._raw_quoted())
        elif slice := _SLICE.match(self._text, self._at):
            self._at = slice.end()
            step = self._slice(slice)
        elif (index := self._match(_INTEGER)) is not None:
            step = Item(int(index))
        else:
            raise self._error("a number, a slice, * or a quoted name is expected")
        self._blanks()
        return step

    def _slice(self, slice: re.Match[str]) -> Slice:
        start, stop, step = (None if number is None else int(number) for number in slice.groups())
        if step is not None and step < 1:
            raise self._error("a slice goes forward, in steps of 1 or more", slice.start())
        return Slice(start, stop, step)

    def _filter(self) -> Filter:
        self._expect("(")
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(_TOO_DEEP)
        self._blanks()
        left = self._operand()
        self._blanks()
        operator = self._match(_OPERATOR) or ""
        right = None
        if operator:
            self._blanks()
            right = self._operand()
            self._blanks()
        self._expect(")", "; conditions cannot be joined by && or ||" if self._peek() in "&|" else "")
        self._blanks()
        self._expect("]")
        self._depth -= 1
        return Filter(left, operator, right)

    def _operand(self) -> Path | Literal:
        if self._peek() in "'\"":
            return Literal(self._quoted())
        if (boolean := self._match(_BOOLEAN)) is not None:
            return Literal(boolean == "true")
        if (number := self._match(_NUMBER)) is not None:
            return Literal(float(number))
        return self._path()

    def _until_brace(self) -> str:
        end = self._text.find("{", self._at)
        begin, self._at = self._at, end if end >= 0 else len(self._text)
        return self._text[begin : self._at]

    def _quoted(self) -> str:
        return re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), self._raw_quoted(), flags=re.DOTALL)

    def _raw_quoted(self) -> str:
        found = _QUOTED.match(self._text, self._at)
        if found is None:
            raise self._error("this quote is never closed")
        self._at = found.end()
        return found[1] if found[1] is not None else found[2]

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _blanks(self) -> None:
        self._match(_BLANKS)

    def _peek(self) -> str:
        """The next character; at the end one that is nothing."""
        return self._text[self._at : self._at + 1] or "\0"

    def _takes(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _expect(self, text: str, hint: str = "") -> None:
        if not self._takes(text):
            raise self._error(f"{text} is expected{hint}")

    def _hint(self) -> str:
        name = _NAME.match(self._text, self._at)
        return f": .{name[0]}" if name else ""

    def _error(self, problem: str, position: int | None = None) -> InvalidTemplate:
        return InvalidTemplate(self._text, self._at if position is None else position, problem)


def _bracketed(raw: str) -> Key:
    """A quoted name: its exact spelling, and where its unescaped dots lead."""
    parts = [re.sub(r"\\(.)", r"\1", part) for part in re.findall(r"(?:\\.|[^.\\])+", raw)]
    return Key(re.sub(r"\\(.)", r"\1", raw), tuple(parts) if len(parts) > 1 else ())
