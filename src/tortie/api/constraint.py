"""One sentence about several fields of an object, with the test that finds it broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

Finding = tuple[str, str, str]
"""Path below the object, what is wrong, and what would be right."""

Search = Callable[[Any], Iterator[Finding]]
"""A test that finds any number of things, each with its own path."""


class Constraint(msgspec.Struct, frozen=True):
    """What must never be true of an object: `broken` gives anything true when it is.

    `cel` says, for those who cannot call it, when the constraint is kept: an expression about `self`,
    with defaults filled in, where that is simple; it never refuses what `broken` lets pass.
    """

    path: str
    broken: Callable[[Any], object]
    problem: str
    remedy: str = ""
    cel: str = ""
