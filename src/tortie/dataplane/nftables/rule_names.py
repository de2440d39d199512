"""What the 64-bit identities in the kernel stand for: a table on disk, one JSON object a line.

Kinds, namespaces and names may be longer than the kernel's comments and log prefixes. The table outlives the
agent, so what an old rule counted or logged can still be named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tortie.base.files import write_atomically
from tortie.desired.policy import Direction, PolicyId, rule_identity


class RuleName(msgspec.Struct, frozen=True, gc=False):
    """The line that a person wrote, or with a negative index a rule of our own in a tier, endpoint or base chain."""

    kind: str
    namespace: str
    name: str
    direction: Direction
    index: int

    @property
    def identity(self) -> int:
        """As the kernel has it."""
        return rule_identity(PolicyId(self.kind, self.namespace, self.name), self.direction, self.index)


class _Line(msgspec.Struct, frozen=True, gc=False):
    id: str
    rule: RuleName


class RuleNames:
    """The table, in memory and on disk.

    Args:
        path: file; made when the first name is recorded.

    Raises:
        OSError: the file is there but cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self._names: dict[int, RuleName] = _load(path)
        self._unwritten: dict[int, RuleName] = {}

    @property
    def count(self) -> int:
        """How many are known."""
        return len(self._names)

    def find(self, identity: int) -> RuleName | None:
        """Whose rule it is, or None if it was never recorded here."""
        return self._names.get(identity)

    def record(self, names: Iterable[RuleName]) -> None:
        """Append those that are new, in one write. Raises OSError; then they are written with the next ones."""
        fresh = {identity: one for one in names if (identity := one.identity) not in self._names}
        self._names |= fresh
        self._unwritten |= fresh
        if not self._unwritten:
            return
        lines = b"".join(self._line(identity, one) for identity, one in self._unwritten.items())
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            # A leading newline ends a line that a crash left incomplete.
            file.write(b"\n" + lines)
        self._unwritten.clear()

    def keep(self, identities: Iterable[int]) -> None:
        """Forget all others and write the file anew. Raises OSError; then nothing is forgotten."""
        kept = {one: self._names[one] for one in identities if one in self._names}
        write_atomically(self._path, b"".join(self._line(identity, one) for identity, one in kept.items()))
        self._names = kept
        self._unwritten.clear()

    def _line(self, identity: int, name: RuleName) -> bytes:
        return self._encoder.encode(_Line(f"{identity:016x}", name)) + b"\n"


def _load(path: Path) -> dict[int, RuleName]:
    """Lines that cannot be read, such as one that a crash cut short, are skipped."""
    decoder = msgspec.json.Decoder(_Line)
    names: dict[int, RuleName] = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found = decoder.decode(line)
            names[int(found.id, 16)] = found.rule
        except ValueError:
            continue
    return names
