"""What a conversion gives, and what it cannot convert."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from tortie.api.resource import Resource
from tortie.base.errors import Problem, TortieError

S = TypeVar("S")
T = TypeVar("T")


class Converted(msgspec.Struct, frozen=True):
    """A resource, and what of the original is not in it.

    Args:
        warnings: what people should know.
        broken: what its author must correct. Nothing more is allowed for it; who has the author at hand
            refuses the whole.
    """

    resource: Resource
    warnings: tuple[Problem, ...] = ()
    broken: tuple[Problem, ...] = ()


class Unconvertible(TortieError):
    """A part that has no meaning here.

    Args:
        path: the field, such as `spec.ingress[0].ports[1].port`.
        problem: what is wrong.
        remedy: what would be right.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        self.path = path
        self.problem = problem
        self.remedy = remedy
        self.others: tuple[Unconvertible, ...] = ()
        super().__init__(f"{path}: {problem} ({remedy})")

    @property
    def all(self) -> tuple[Unconvertible, ...]:
        """This one, and those that were found with it."""
        return (self, *self.others)

    def of(self, object: str) -> Problem:
        """The same as a problem of an object."""
        return Problem(object, self.path, self.problem, self.remedy)


class NotSupported(Unconvertible):
    """A part that means something, but nothing that can be carried out here."""


def each(attempts: Iterable[Callable[[], T]]) -> list[T]:
    """What every attempt gives.

    Raises:
        Unconvertible: some fail; the error holds all of them, or those alone that are not merely unsupported.
    """
    results: list[T] = []
    errors: list[Unconvertible] = []
    for attempt in attempts:
        try:
            results.append(attempt())
        except Unconvertible as error:
            errors += error.all
    if errors:
        raise _together(errors)
    return results


def both(first: Callable[[], S], second: Callable[[], T]) -> tuple[S, T]:
    """What two attempts give. Raises Unconvertible, as `each` does."""
    attempts: tuple[Callable[[], Any], ...] = (first, second)
    one, other = each(attempts)
    return one, other


def _together(errors: list[Unconvertible]) -> Unconvertible:
    wrong = [error for error in errors if not isinstance(error, NotSupported)]
    first, *others = wrong or errors
    for error in errors:
        error.others = ()
    first.others = tuple(others)
    return first
