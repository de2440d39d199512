"""An object of Kubernetes as it was written, and all that comes up while it is converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

import msgspec

from tortie.api.blanks import told_blanks
from tortie.api.constraint import Finding
from tortie.api.resource import Resource
from tortie.api.strict import UNKNOWN, check, is_consequence, is_within
from tortie.api.validation import metadata_findings
from tortie.base.errors import InvalidResource, Problem
from tortie.convert.converted import Converted, NotSupported, Unconvertible
from tortie.convert.objects import CONDITIONS, SELECTORS, KubernetesObject

P = ParamSpec("P")
T = TypeVar("T")
Written = TypeVar("Written", bound=KubernetesObject)


class Findings(msgspec.Struct):
    """What came up in one object.

    Args:
        object: what to call it.
        doubtful: paths that are wrong already; what follows from that is not said again.
        gaps: what means something that cannot be carried out; for its finder to take away.
    """

    object: str
    problems: list[Problem] = []
    warnings: list[Problem] = []
    doubtful: set[str] = set()
    gaps: list[NotSupported] = []

    def attempt(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What a function reads; None, and noted, when it cannot."""
        try:
            return read(*args, **kwargs)
        except NotSupported as gap:
            self.gaps += [one for one in gap.all if isinstance(one, NotSupported)]
        except Unconvertible as error:
            for one in error.all:
                self.find((one.path, one.problem, one.remedy))
        return None

    def find(self, *findings: Finding) -> None:
        """Note what is wrong, unless it follows from what else is."""
        new = [finding for finding in findings if not is_consequence(finding, self.doubtful)]
        self.problems += [Problem(self.object, *finding) for finding in new]

    def has(self, place: str) -> bool:
        """Whether anything is wrong in a part of the object."""
        return any(is_within(problem.path, place) for problem in self.problems)

    def conclude(self, resource: Resource, spared: Callable[[Problem], bool]) -> Converted:
        """The conversion, if nothing is wrong but what it can do without.

        Raises:
            InvalidResource: something else is; lists every problem.
        """
        self.refuse(spared)
        return Converted(resource, tuple(self.warnings), tuple(self.problems))

    def refuse(self, spared: Callable[[Problem], bool]) -> None:
        """Raises InvalidResource, with every problem, when one of them is not spared."""
        if not all(map(spared, self.problems)):
            raise InvalidResource(*self.problems)


class Read(msgspec.Struct, Generic[Written]):
    """An object without what is wrong in it, and what that is."""

    value: Written
    found: Findings


def read(document: Mapping[str, Any], shape: type[Written]) -> Read[Written]:
    """An object of Kubernetes from plain data; null is the same as absent.

    Raises:
        InvalidResource: it has no name; lists what else is wrong with its fields.
    """
    checked = check(dict(document), shape)
    value = msgspec.convert(checked.value, shape)
    place = f"{value.metadata.namespace}/" if value.metadata.namespace else ""
    found = Findings(f"{shape.known_as} {place}{value.metadata.name}".rstrip())
    found.find(*checked.findings)
    found.doubtful |= checked.doubtful
    found.find(*metadata_findings(shape.known_as, value.metadata, namespaced=shape.namespaced))
    found.warnings += [
        Problem(found.object, *finding) for finding in told_blanks(checked.blanks, CONDITIONS, SELECTORS)
    ]
    if not value.metadata.name:
        raise InvalidResource(*found.problems)
    return Read(value, found)


def is_unknown(problem: Problem) -> bool:
    """Whether a problem is a field that is not known, which may be newer than this reader."""
    return problem.problem == UNKNOWN
