"""The part of Go's templates that people use to print resources: fields, range, if, with, variables, functions.

    {{range .items}}{{.metadata.name}}{{if .spec.order}} {{.spec.order}}{{end}}{{"\\n"}}{{end}}

What is not understood is refused with its place. Names are found as kubectl shows them, and also
as the fields of Go structs that calicoctl's users write: `.ObjectMeta.Name`, `.Spec.IPNetworks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import Any

import msgspec

from tortie.cli.gotemplate_functions import FUNCTIONS, field, is_true, items_of, shown
from tortie.cli.jsonpath_syntax import DEEPEST, InvalidTemplate

_ACTION = re.compile(r"\{\{(- )?((?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|(?!\}\})[^\"`])*?)( -)?\}\}", re.DOTALL)
_BLANKS = " \t\r\n"
_TRIMMED = re.compile(r"\s*")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?[0-9]{1,18}(?:\.[0-9]+)?)|(?P<mark>:=|[=|(),])
        |(?P<variable>\$\w*)|(?P<field>\.\w+(?:-\w+)*|\.)|(?P<word>\w+))""",
    re.VERBOSE,
)
_BLOCKS = ("range", "if", "with")
_CONSTANTS = {"true": True, "false": False, "nil": None}

Variables = dict[str, Any]
Evaluate = Callable[[Any, Variables], Any]
"""From the current value and the variables to a value."""

Write = Callable[[Any, Variables], str]
"""From the current value and the variables to text."""


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    position: int
    glued: bool


class _Block(msgspec.Struct):
    """A block that is open: what it needs, and what it holds so far."""

    word: str
    position: int
    value: Evaluate
    names: tuple[str, ...] = ()
    body: list[Write] = msgspec.field(default_factory=list)
    otherwise: list[Write] | None = None
    chained: bool = False


def parse_go_template(text: str) -> Callable[[Any], str]:
    """What prints data as a template says.

    Raises:
        InvalidTemplate: the template is wrong, or uses something else than stands above.
    """
    body = _Template(text).read()
    return lambda data: _written(body, data, {"$": data})


class _Template:
    """Reads a template: texts, and actions between double braces."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open = [_Block("", 0, lambda current, _: current)]

    def read(self) -> list[Write]:
        at = 0
        while at < len(self._text):
            begin = self._text.find("{{", at)
            if begin < 0:
                self._add(_constant(self._text[at:]))
                break
            found = _ACTION.match(self._text, begin)
            if found is None:
                raise InvalidTemplate(self._text, begin, "these braces are never closed")
            before = self._text[at:begin]
            self._add(_constant(before.rstrip(_BLANKS) if found[1] else before))
            self._action(found)
            at = found.end()
            if found[3] and (blanks := _TRIMMED.match(self._text, at)):
                at = blanks.end()
        if len(self._open) > 1:
            block = self._open[-1]
            raise InvalidTemplate(self._text, block.position, f"this {block.word} has no {{{{end}}}}")
        return self._open[0].body

    def _action(self, found: re.Match[str]) -> None:
        inside = found[2].strip()
        if inside.startswith("/*"):
            return
        expression = _Expression(self._text, found.start(2), found.end(2))
        word = expression.keyword()
        if word in _BLOCKS:
            self._begin(_Block(word, found.start(), names=expression.declared(), value=expression.whole()))
        elif word == "else":
            self._else(expression, found.start())
        elif word == "end":
            self._end(found.start())
        else:
            self._statement(expression)

    def _statement(self, expression: _Expression) -> None:
        names = expression.declared()
        value = expression.whole()
        self._add(_assigning(names[0], value) if names else lambda current, variables: shown(value(current, variables)))

    def _else(self, expression: _Expression, position: int) -> None:
        block = self._open[-1]
        if not block.word or block.otherwise is not None:
            raise InvalidTemplate(self._text, position, "there is no block that this could be the other half of")
        block.otherwise = []
        if (word := expression.keyword()) in _BLOCKS:
            self._begin(_Block(word, position, names=expression.declared(), value=expression.whole(), chained=True))

    def _begin(self, block: _Block) -> None:
        if len(self._open) > DEEPEST:
            raise InvalidTemplate(self._text, block.position, "this block is nested too deeply")
        self._open.append(block)

    def _end(self, position: int) -> None:
        chained = True
        while chained:
            if len(self._open) == 1:
                raise InvalidTemplate(self._text, position, "there is no block that this could end")
            block = self._open.pop()
            chained = block.chained
            self._add(_written_block(block))

    def _add(self, write: Write) -> None:
        block = self._open[-1]
        (block.body if block.otherwise is None else block.otherwise).append(write)


class _Expression:
    """Reads what stands in one pair of braces."""

    def __init__(self, text: str, begin: int, end: int) -> None:
        self._text = text
        self._end = end
        self._tokens = self._split(begin)
        self._at = 0
        self._depth = 0

    def keyword(self) -> str:
        """The word that begins a block, or else or end; otherwise nothing is taken."""
        if (token := self._peek()) and token.text in (*_BLOCKS, "else", "end"):
            self._at += 1
            return token.text
        return ""

    def declared(self) -> tuple[str, ...]:
        """The variables before `:=` or `=`, if any."""
        names: list[str] = []
        at = self._at
        while (token := self._peek()) and token.kind == "variable":
            names.append(token.text)
            self._at += 1
            if self._takes(":=") or self._takes("="):
                return tuple(names)
            if not self._takes(","):
                break
        self._at = at
        return ()

    def whole(self) -> Evaluate:
        """The pipeline that is the rest."""
        value = self._pipeline()
        if token := self._peek():
            raise self._error(f"{token.text!r} is not expected here", token)
        return value

    def _pipeline(self) -> Evaluate:
        value = self._command(())
        while self._takes("|"):
            self._deepen()
            value = self._command((value,))
        return value

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error("this is nested too deeply", self._peek())

    def _command(self, piped: tuple[Evaluate, ...]) -> Evaluate:
        token = self._peek()
        if token is None or token.kind != "word" or token.text in _CONSTANTS:
            if piped:
                raise self._error("a function is expected after |", token)
            return self._operand()
        function = FUNCTIONS.get(token.text)
        if function is None:
            known = ", ".join(FUNCTIONS)
            raise self._error(f"the function {token.text} is not supported; those that are: {known}", token)
        self._at += 1
        operands: list[Evaluate] = []
        while (token := self._peek()) and token.text not in ("|", ")"):
            operands.append(self._operand())
        return self._called(function, [*operands, *piped])

    def _called(self, function: Callable[..., Any], operands: list[Evaluate]) -> Evaluate:
        def call(current: Any, variables: Variables) -> Any:
            try:
                return function(*(operand(current, variables) for operand in operands))
            except (TypeError, ValueError, LookupError) as error:
                raise InvalidTemplate(self._text, self._end, f"a function does not fit its values: {error}") from error

        return call

    def _operand(self) -> Evaluate:
        token = self._peek()
        if token is None:
            raise self._error("a value is expected", token)
        self._at += 1
        if token.text == "(":
            self._deepen()
            value = self._pipeline()
            if not self._takes(")"):
                raise self._error(") is expected", self._peek())
            self._depth -= 1
        elif token.kind == "text":
            value = _literal(_unquoted(token.text))
        elif token.kind == "number":
            value = _literal(float(token.text) if "." in token.text else int(token.text))
        elif token.text in _CONSTANTS:
            value = _literal(_CONSTANTS[token.text])
        elif token.kind == "variable":
            value = _variable(token.text)
        elif token.kind == "field":
            value = _taking(lambda current, _: current, [name] if (name := token.text[1:]) else [])
        else:
            raise self._error(f"{token.text!r} is not expected here", token)
        return self._deeper(value)

    def _deeper(self, value: Evaluate) -> Evaluate:
        names: list[str] = []
        while (token := self._peek()) and token.kind == "field" and token.glued and len(token.text) > 1:
            self._at += 1
            names.append(token.text[1:])
        return _taking(value, names) if names else value

    def _split(self, begin: int) -> list[_Token]:
        tokens: list[_Token] = []
        at = begin
        while self._text[at : self._end].strip():
            found = _TOKEN.match(self._text, at, self._end)
            if found is None:
                raise InvalidTemplate(self._text, at, "this is not understood")
            kind = found.lastgroup or ""
            tokens.append(_Token(kind, found[kind], found.start(kind), found.start(kind) == at))
            at = found.end()
        return tokens

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.text != text:
            return False
        self._at += 1
        return True

    def _error(self, problem: str, token: _Token | None) -> InvalidTemplate:
        return InvalidTemplate(self._text, token.position if token else self._end, problem)


def _written(body: list[Write], current: Any, variables: Variables) -> str:
    return "".join([write(current, variables) for write in body])


def _written_block(block: _Block) -> Write:
    if block.word == "range":
        return lambda current, variables: _ranged(block, current, variables)

    def write(current: Any, variables: Variables) -> str:
        value = block.value(current, variables)
        inner = dict(variables)
        inner.update(dict.fromkeys(block.names, value))
        if is_true(value):
            return _written(block.body, value if block.word == "with" else current, inner)
        return _written(block.otherwise or [], current, inner)

    return write


def _ranged(block: _Block, current: Any, variables: Variables) -> str:
    pairs = items_of(block.value(current, variables))
    if not pairs:
        return _written(block.otherwise or [], current, variables)
    texts = []
    for key, value in pairs:
        named = zip(block.names, (key, value) if len(block.names) == 2 else (value,), strict=False)
        texts.append(_written(block.body, value, {**variables, **dict(named)}))
    return "".join(texts)


def _constant(text: str) -> Write:
    return lambda current, variables: text


def _literal(value: Any) -> Evaluate:
    return lambda current, variables: value


def _variable(name: str) -> Evaluate:
    return lambda current, variables: variables.get(name)


def _taking(value: Evaluate, names: list[str]) -> Evaluate:
    return lambda current, variables: reduce(field, names, value(current, variables))


def _assigning(name: str, value: Evaluate) -> Write:
    def write(current: Any, variables: Variables) -> str:
        variables[name] = value(current, variables)
        return ""

    return write


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda one: escapes.get(one[1], one[1]), text[1:-1])
