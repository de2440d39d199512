"""What can go wrong, by whose fault it is and what to do next; the retry policy hangs on the class.

`InvalidResource` is the user's; `Conflict` and its leaves mean "read again"; `Unavailable` means
"wait"; `Unsupported` means this kernel cannot; `KernelError` carries a refused request. Anything
else is a bug and is never caught.
"""

from __future__ import annotations

import os

import msgspec


class TortieError(Exception):
    """Base of every error that this project raises on purpose."""


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One thing wrong with one field of one object.

    Args:
        object: kind and name, such as `NetworkPolicy shop/allow-web`.
        path: the field, such as `spec.ingress[0].protocol`.
        problem: what is wrong.
        remedy: what would be right.
        file, line, column: where it stands, when it came from a file (1-based; 0 is unknown).
    """

    object: str
    path: str
    problem: str
    remedy: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else ""
        field = f" {self.path}:" if self.path else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.object}:{field} {self.problem}{remedy}"


class InvalidResource(TortieError):
    """A resource that its author must correct; lists every problem found, not the first."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class Conflict(TortieError):
    """The datastore holds something else than the writer believed: read again, then decide."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(f"{key}: {message}")


class AlreadyExists(Conflict):
    """Create found the key taken."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "already exists")


class NotFound(Conflict):
    """The key does not exist."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "does not exist")


class StaleRevision(Conflict):
    """Compare-and-swap met a newer revision than the one expected."""

    def __init__(self, key: str, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(key, f"is at revision {actual}, not {expected}")


class RevisionTooOld(TortieError):
    """The history that a watch or read asked for has been compacted: list again."""

    def __init__(self, requested: int, oldest: int) -> None:
        self.requested = requested
        self.oldest = oldest
        super().__init__(f"revision {requested} has been compacted; the oldest kept is {oldest}")


class HistoryBroken(RevisionTooOld):
    """The datastore is another than before, was set back, or contradicts itself: list again, and trust nothing older.

    Args:
        requested: the revision that the reader had reached.
        newest: the revision that the datastore says it has reached.
        problem: what gave it away.
    """

    def __init__(self, requested: int, newest: int, problem: str) -> None:
        super().__init__(requested, newest)
        self.args = (f"{problem}; what was read up to revision {requested} must be read again",)


class Unavailable(TortieError):
    """A part we depend on does not answer: wait and try again."""


class NotPermitted(Unavailable):
    """A part we depend on does not let us: another user or role is needed, or the secret that was given is wrong."""


class OutcomeUnknown(Unavailable):
    """A write was sent, and no answer came: it was carried out, or not, or is about to be. Read again."""


class Unsupported(TortieError):
    """This kernel or machine cannot do what was asked."""


class KernelError(TortieError):
    """The kernel refused a request.

    Args:
        request: which request, in words that an operator can search for.
        errno: positive error number.
        detail: the kernel's own extended message, if it gave one.
    """

    def __init__(self, request: str, errno: int, detail: str = "") -> None:
        self.request = request
        self.errno = errno
        self.detail = detail
        more = f": {detail}" if detail else ""
        super().__init__(f"{request}: {os.strerror(errno)} (errno {errno}){more}")
