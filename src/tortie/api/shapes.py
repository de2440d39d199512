"""What of a format can be said as data, for those who cannot run its test: schemas, documentation, completion.

A value that passes the test fits a shape for its type. Not every value that fits passes: that an
address has no host bits is beyond patterns. Expressions are of the kind that RE2, ECMAScript and
Python read alike: no look-around, no named groups.
"""

from __future__ import annotations

import msgspec


class OneOf(msgspec.Struct, frozen=True):
    """One of a few values; texts upper and lower case alike when `any_case`."""

    values: tuple[int | str, ...]
    any_case: bool = False


class Between(msgspec.Struct, frozen=True):
    """A number, both ends included."""

    low: int
    high: int


class Pattern(msgspec.Struct, frozen=True):
    """Text that an expression matches as a whole, of `limit` characters at most."""

    expression: str
    limit: int | None = None


Shape = OneOf | Between | Pattern
