"""Pieces of CEL, the language in which constraints are said to the API server of Kubernetes: about fields of `self`."""

from __future__ import annotations


def holds(field: str) -> str:
    """A text or a list is there, and not empty."""
    return f"(has(self.{field}) && size(self.{field}) > 0)"


def is_true(field: str) -> str:
    """A switch is there, and on."""
    return f"(has(self.{field}) && self.{field})"


def says(field: str, value: str) -> str:
    """A text is there, and is this one."""
    return f"(has(self.{field}) && self.{field} == '{value}')"


def names(field: str, value: str) -> str:
    """A list is there, and holds this text."""
    return f"(has(self.{field}) && '{value}' in self.{field})"


def not_both(one: str, other: str) -> str:
    """Two expressions are not true together."""
    return f"!({one} && {other})"
