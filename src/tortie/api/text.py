"""YAML or JSON text as plain values, with the line and column of each, read without surprises.

Only plain data: no tags beyond YAML's own types, no dates, no base-60 numbers, no octal by a leading
zero. `NO` and its like are booleans, as other readers of such files take them, but their spelling is
kept, so that an error can say what to quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import yaml

from tortie.api.syntax import explained
from tortie.base.errors import InvalidResource, Problem

DEEPEST = 64
"""Levels of nesting that are read; resources need about twenty."""

ALIAS_ROOM = 10_000
"""Values that aliases may add to those that are written out."""

MOST_BROKEN = 50
"""Documents that are not YAML, after which reading ends."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(?:(inf|Inf|INF)|nan|NaN|NAN)")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_MARKER = re.compile(r"---(?=\s|$)")
_UNLIKE_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_LONGEST_NUMBER = 40
_CONSTANTS: dict[str, bool | None] = {
    spelling: value
    for word, value in (
        ("", None),
        ("~", None),
        ("null", None),
        *((word, True) for word in ("true", "yes", "on")),
        *((word, False) for word in ("false", "no", "off")),
    )
    for spelling in (word, word.capitalize(), word.upper())
}
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = tuple(_TAG + name for name in ("null", "bool", "int", "float"))
_COLLECTION_TAGS = (None, "!", f"{_TAG}map", f"{_TAG}seq")


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a value stands, and where its parts stand.

    Args:
        line, column: 1-based; of the key, for a value that has one.
        written: the spelling of a scalar that is not text.
        parts: places of the values of a map or list, by key or index.
        size: how many values it holds, itself included, with aliases written out.
        flawed: something in it cannot be read, and has been reported.
    """

    line: int
    column: int
    written: str = ""
    parts: dict[str | int, Place] = {}
    size: int = 1
    flawed: bool = False


class Value(msgspec.Struct, frozen=True):
    """A plain value and its place."""

    plain: Any
    place: Place


class Scanned(msgspec.Struct, frozen=True):
    """What a text holds.

    Args:
        values: the documents that can be read, without the empty ones.
        problems: everything that is wrong.
        broken: how many documents cannot be read at all.
    """

    values: list[Value]
    problems: list[Problem]
    broken: int = 0


def read_values(text: str, file: str = "") -> list[Value]:
    """The documents of a text, without the empty ones.

    Raises:
        InvalidResource: not YAML; a key twice, or not a text; an unknown tag; too deep; aliases that
            multiply or refer to themselves. Lists every problem.
    """
    found = scan_values(text, file)
    if found.problems:
        raise InvalidResource(*found.problems)
    return found.values


def scan_values(text: str, file: str = "") -> Scanned:
    """The documents that can be read, and every problem; after a document that is not YAML comes the next one."""
    reader = _Reader(text, file)
    values = reader.read()
    return Scanned(values, reader.problems, reader.broken)


class _Stop(Exception):
    """This document cannot be read on."""

    def __init__(self, mark: Any) -> None:
        self.mark = mark


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._text = _as_yaml(text) if text.lstrip()[:1] in ("{", "[") else text
        self._limit = len(text) + ALIAS_ROOM
        self._anchors: dict[str, Value] = {}
        self.problems: list[Problem] = []
        self.broken = 0

    def read(self) -> list[Value]:
        values: list[Value] = []
        text, line = self._text, 0
        for _ in range(MOST_BROKEN):
            mark = self._read(text, values)
            if mark is None:
                break
            text, line = _from_next_document(text, max(mark.line, line + 1))
        return [value for value in values if value.plain is not None]

    def _read(self, text: str, values: list[Value]) -> Any:
        """Add the documents of a text to the values; the mark of what cannot be read, if it has one."""
        try:
            text.encode()
            for value in self._documents(text):
                values.append(value)
        except yaml.MarkedYAMLError as error:
            found = explained(error, text)
            self._give_up(found.mark, found.problem, found.remedy)
            return error.problem_mark
        except UnicodeEncodeError:
            self._give_up(None, "holds bytes, or halves of characters, that are no text", "write it in UTF-8")
        except yaml.YAMLError as error:
            self._give_up(None, " ".join(str(error).split()), "")
        except _Stop as stop:
            return stop.mark
        return None

    def _documents(self, text: str) -> Iterator[Value]:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                value = self._value(next(self._events), 0)
                next(self._events)  # its end, which is not reached when more stands behind the value
                yield value

    def _value(self, event: yaml.Event, depth: int) -> Value:
        if depth > DEEPEST:
            raise self._stop(event, "is nested too deeply", f"{DEEPEST} levels at most")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        known = len(self.problems)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, depth)
        else:
            value = self._sequence(cast(yaml.SequenceStartEvent, event), depth)
        if value.place.size > self._limit:
            raise self._stop(event, "grows too large by its aliases", "write the values out")
        if len(self.problems) > known:
            value = Value(value.plain, msgspec.structs.replace(value.place, flawed=True))
        anchor = cast(yaml.NodeEvent, event).anchor
        if anchor is not None:
            self._anchors[anchor] = value
        return value

    def _alias(self, event: yaml.AliasEvent) -> Value:
        value = self._anchors.get(event.anchor or "")
        if value is None:
            raise self._stop(event, f"alias *{event.anchor} has no anchor before it", "")
        return value

    def _sequence(self, event: yaml.SequenceStartEvent, depth: int) -> Value:
        self._check_tag(event)
        items: list[Any] = []
        parts: dict[str | int, Place] = {}
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            value = self._value(inner, depth + 1)
            parts[len(items)] = value.place
            items.append(value.plain)
        return Value(items, _place(event, parts))

    def _mapping(self, event: yaml.MappingStartEvent, depth: int) -> Value:
        self._check_tag(event)
        entries: dict[str, Any] = {}
        parts: dict[str | int, Place] = {}
        merged: list[Value] = []
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key, value = self._key(inner, depth), self._value(next(self._events), depth + 1)
            if key == "<<" and cast(yaml.ScalarEvent, inner).implicit[0]:
                merged.append(value)
            elif key in entries:
                self._report(inner.start_mark, f"key {key!r} is given twice", "keep one of them")
            elif key is not None:
                entries[key] = value.plain
                parts[key] = _moved(value.place, inner)
        for value in merged:
            self._merge(event, value, entries, parts)
        return Value(entries, _place(event, parts))

    def _merge(self, event: yaml.Event, value: Value, entries: dict[str, Any], parts: dict[str | int, Place]) -> None:
        """YAML's `<<`: keys of another map, or of several, that are not given here."""
        sources = value.plain if isinstance(value.plain, list) else [value.plain]
        for index, source in enumerate(sources):
            if not isinstance(source, dict):
                self._report(event.start_mark, "<< merges maps only", "")
                continue
            place = value.place.parts[index] if isinstance(value.plain, list) else value.place
            for key, inner in source.items():
                if key not in entries:
                    entries[key], parts[key] = inner, place.parts[key]

    def _key(self, event: yaml.Event, depth: int) -> str | None:
        value = self._value(event, depth + 1)
        if isinstance(value.plain, str):
            return value.plain
        written = value.place.written
        remedy = f'quote it: "{written}"' if written else "use a text"
        self._report(event.start_mark, f"key {written or 'of a map'} is not a text", remedy)
        return None

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        plain: Any = event.value
        if event.tag == "!" and event.style not in ("'", '"'):
            self._report(event.start_mark, "! before a text is not part of it", f'quote the value: "! {plain}"')
        elif event.implicit[0] or event.tag in _PLAIN_TAGS:
            plain = self._plain(event, event.value)
        elif event.tag != f"{_TAG}str":
            self._check_tag(event)
        return Value(plain, _place(event, {}, "" if isinstance(plain, str) else event.value))

    def _plain(self, event: yaml.Event, text: str) -> Any:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if len(text) > _LONGEST_NUMBER:
            if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
                self._report(event.start_mark, "number has too many digits", "quote it if it is a text")
            return text
        if _INTEGER.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
        special = _SPECIAL_FLOAT.fullmatch(text)
        return text if special is None else float(f"{special[1]}{'inf' if special[2] else 'nan'}")

    def _check_tag(self, event: Any) -> None:
        if event.tag in _COLLECTION_TAGS:
            return
        if event.tag.startswith("!") and isinstance(event, yaml.ScalarEvent):
            written = f"{event.tag} {event.value}".strip()
            self._report(event.start_mark, f"{event.tag} without quotes is a tag", f'quote the value: "{written}"')
        else:
            self._report(event.start_mark, f"tag {event.tag} is unknown", "leave it out")

    def _report(self, mark: Any, problem: str, remedy: str) -> None:
        line, column = _line_and_column(mark)
        object = "document" if line else self._file or "document"
        found = Problem(object, "", problem, remedy, self._file, line, column)
        if found not in self.problems:
            self.problems.append(found)

    def _stop(self, event: yaml.Event, problem: str, remedy: str) -> _Stop:
        self._give_up(event.start_mark, problem, remedy)
        return _Stop(event.start_mark)

    def _give_up(self, mark: Any, problem: str, remedy: str) -> None:
        """Of a document; one that is met again on the way to the next one counts once."""
        known = len(self.problems)
        self._report(mark, problem, remedy)
        self.broken += len(self.problems) > known


def _from_next_document(text: str, first: int) -> tuple[str, int]:
    """The text from the first document marker on or after a line, with as many lines before it; and that line."""
    for line, found in enumerate(_LINE_BREAK.finditer(text), 1):
        if line >= first and _MARKER.match(text, found.end()):
            return "\n" * line + text[found.end() :], line
    return "", first


def _as_yaml(text: str) -> str:
    """JSON with an escape for each character that JSON may hold as it is, but YAML refuses or takes for a break."""
    return _UNLIKE_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", _without_pairs(text))


def _without_pairs(text: str) -> str:
    """JSON writes a character beyond U+FFFF as an escaped surrogate pair, which YAML does not know."""
    return _PAIR.sub(lambda match: match[1] + chr(0x10000 + _low_bits(match[2]) * 1024 + _low_bits(match[3])), text)


def _low_bits(digits: str) -> int:
    return int(digits, 16) & 0x3FF


def _place(event: yaml.Event, parts: dict[str | int, Place], written: str = "") -> Place:
    line, column = _line_and_column(event.start_mark)
    return Place(line, column, written, parts, 1 + sum(part.size for part in parts.values()))


def _moved(place: Place, key: yaml.Event) -> Place:
    line, column = _line_and_column(key.start_mark)
    return Place(line, column, place.written, place.parts, place.size, place.flawed)


def _line_and_column(mark: Any) -> tuple[int, int]:
    return (0, 0) if mark is None else (mark.line + 1, mark.column + 1)
