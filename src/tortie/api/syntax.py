"""What a YAML parser complains of, in words for who writes the file."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

_TAB = re.compile(r"\s*\t")
_QUOTE = "quote the value"
_BY_CONTEXT = {
    "quoted scalar": ("a quote is never closed", "end the text with the quote that it begins with"),
    "flow mapping": ("the map that begins here is not closed, or lacks a comma", "end it with }"),
    "flow sequence": ("the list that begins here is not closed, or lacks a comma", "end it with ]"),
    "simple key": ("is neither a key nor a value", "write a key as NAME: VALUE"),
}
"""What is said where the broken part begins."""

_BY_PROBLEM = {
    "unknown escape": ("the text has a backslash that means nothing", "write it twice, or use single quotes"),
    "mapping values": ("has a second ': ' on the line, or a wrong indentation", f"{_QUOTE}, or align it"),
    "expected key": ("does not belong to the map before it", "align it with the other keys, or quote the value"),
    "'-' indicator": ("does not belong to the list before it", "begin it with '- ', or align it"),
    "alphabetic or numeric": ("a value cannot begin with & or *", _QUOTE),
    "tag": ("a value cannot begin with !", _QUOTE),
    "comment or line break": ("a value cannot begin with | or >", _QUOTE),
    "block sequence": ("a list cannot begin here", "begin it on a line of its own"),
    "node content": ("a value is missing", "write one"),
    "<document start>": ("more follows behind the end of the object", "write --- between objects"),
}
"""What is said where the parser stopped."""


class Complaint(msgspec.Struct, frozen=True):
    """What is wrong, what would be right, and the mark of the place."""

    mark: Any
    problem: str
    remedy: str


def explained(error: yaml.MarkedYAMLError, text: str) -> Complaint:
    """What a parser's error means for a text."""
    mark, said, context = error.problem_mark, error.problem or "", error.context or ""
    line = _line(text, mark)
    if _TAB.match(line):
        return Complaint(mark, "is indented with a tab", "indent with spaces")
    if mark is not None and "cannot start any token" in said:
        return Complaint(mark, f"a value cannot begin with {line[mark.column : mark.column + 1]}", _QUOTE)
    if "escape" not in said:
        for part, (problem, remedy) in _BY_CONTEXT.items():
            if part in context and error.context_mark is not None:
                return Complaint(error.context_mark, problem, remedy)
    for part, (problem, remedy) in _BY_PROBLEM.items():
        if part in said or part in context:
            return Complaint(mark, problem, remedy)
    return Complaint(mark, said or "is not YAML", "")


def _line(text: str, mark: Any) -> str:
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    return lines[mark.line] if mark is not None and mark.line < len(lines) else ""
