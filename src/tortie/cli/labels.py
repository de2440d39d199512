"""Selecting by labels on the command line: Tortie's selectors, and kubectl's comma-separated ones."""

from __future__ import annotations

import re

import click

from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse
from tortie.selector.selector import Selector

_NAME = r"[A-Za-z0-9_./-]+"
_WORD = r"[A-Za-z0-9_.-]*"
_COMPARISON = re.compile(rf"({_NAME})\s*(==|=|!=)\s*({_WORD})")
_MEMBERSHIP = re.compile(rf"({_NAME})\s+(in|notin)\s*\(([^()]*)\)")
_PRESENCE = re.compile(rf"(!?)\s*({_NAME})")
_COMMA = re.compile(r",(?![^(]*\))")


def label_selector(text: str) -> Selector:
    """The selector that `-l` gives: `role == 'web' && has(shop)`, or `role=web,shop,tier notin (a,b)`.

    Raises:
        click.BadParameter: it is neither.
    """
    clauses = [_translated(clause.strip()) for clause in _COMMA.split(text)]
    try:
        return parse(" && ".join(clauses) if all(clauses) else text)
    except InvalidSelector as error:
        raise click.BadParameter(str(error), param_hint="-l") from error


def _translated(clause: str) -> str:
    """One clause of kubectl's as a selector; empty when it is none."""
    if found := _COMPARISON.fullmatch(clause):
        return f"{found[1]} {'!=' if found[2] == '!=' else '=='} '{found[3]}'"
    if found := _MEMBERSHIP.fullmatch(clause):
        values = ", ".join(f"'{value.strip()}'" for value in found[3].split(","))
        return f"{found[1]} {'in' if found[2] == 'in' else 'not in'} {{{values}}}"
    if found := _PRESENCE.fullmatch(clause):
        return f"{found[1]}has({found[2]})"
    return ""
