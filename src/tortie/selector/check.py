"""Whether a text is a selector, for validation of resources."""

from __future__ import annotations

from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse


def selector_problem(text: str) -> str | None:
    """What is wrong with a selector, in words, or None."""
    try:
        parse(text)
    except InvalidSelector as error:
        return str(error)
    return None
