"""What a conversion gives, and what it cannot convert."""

from __future__ import annotations

import msgspec

from tortie.api.resource import Resource
from tortie.base.errors import Problem, TortieError


class Converted(msgspec.Struct, frozen=True):
    """A resource, and in words for people what of the original it leaves out."""

    resource: Resource
    warnings: tuple[str, ...] = ()


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
        super().__init__(f"{path}: {problem} ({remedy})")

    def of(self, object: str) -> Problem:
        """The same as a problem of an object."""
        return Problem(object, self.path, self.problem, self.remedy)


class NotSupported(Unconvertible):
    """A part that means something, but nothing that can be carried out here."""
