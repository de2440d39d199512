"""Packets and bytes of every rule, although refilling a chain makes its counters anew; they outlive the agent too.

What is counted is a rule as it was written: when somebody writes another rule in its place, that begins at nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from tortie.base.files import write_atomically
from tortie.dataplane.nftables.rules import identity_of, meaning_of
from tortie.netlink.nftables_dump import RuleInfo, counters

Figures = tuple[int, int]
"""Packets and bytes."""
Counted = Mapping[tuple[int, str], Figures]
"""By identity and meaning."""


_LONG = 10_000
"""Lines from which on the file is written anew when it has twice as many as are needed."""


class _Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a rule had counted when it was replaced; without `id` the time when counting began, in epoch seconds."""

    id: str = ""
    meaning: str = ""
    packets: int = 0
    bytes: int = 0
    since: float = 0.0


class CounterTotals:
    """What rules had counted when they were replaced; in memory and, with a path, on disk.

    Args:
        path: a file of one JSON object a line, to which is added; shortened here and when it has become long.
        now: gives the time, in seconds since the epoch.

    Raises:
        OSError: the file is there but cannot be read.
    """

    def __init__(self, path: Path | None, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._totals: dict[tuple[int, str], Figures] = {}
        lines = _load(path) if path else []
        self.since = next((line.since for line in lines if line.since), 0.0) or now()
        self._add(lines)
        self._is_behind = True
        self._length = 0
        # A full disk: everything is written with the next figures.
        with contextlib.suppress(OSError):
            self._write_all()

    def add(self, counted: Counted) -> None:
        """Keep the figures of rules that are gone.

        Raises:
            OSError: only this process knows them until they are written with the next ones.
        """
        fresh = list(self._lines(counted))
        self._add(fresh)
        if self._is_behind or self._length > max(_LONG, 2 * len(self._totals)):
            self._write_all()
        elif fresh and self._path is not None:
            self._is_behind = True
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                # A leading newline ends a line that a crash left incomplete.
                file.write(b"\n" + _packed(fresh))
            self._is_behind = False
            self._length += len(fresh)

    def keep(self, identities: Collection[int]) -> None:
        """Forget the figures of all others. Raises OSError; then they are written with the next ones."""
        self._totals = {key: figures for key, figures in self._totals.items() if key[0] in identities}
        self._is_behind = True
        self._write_all()

    def together_with(self, counted: Counted) -> dict[int, Figures]:
        """All figures by identity: of rules that are there with what they had before, and of those that are gone."""
        there = {identity for identity, _ in counted}
        found: dict[int, Figures] = {}
        for key, figures in (*self._totals.items(), *counted.items()):
            if key in counted or key[0] not in there:
                found[key[0]] = _sum(found.get(key[0], (0, 0)), figures)
        return found

    def _add(self, lines: Iterable[_Line]) -> None:
        for line in lines:
            if line.id:
                key = (int(line.id, 16), line.meaning)
                self._totals[key] = _sum(self._totals.get(key, (0, 0)), (line.packets, line.bytes))

    def _write_all(self) -> None:
        if self._path is not None:
            write_atomically(self._path, _packed([_Line(since=self.since), *self._lines(self._totals)]))
        self._is_behind = False
        self._length = len(self._totals)

    def _lines(self, counted: Counted) -> Iterable[_Line]:
        for (identity, meaning), (packets, octets) in counted.items():
            if packets:
                yield _Line(f"{identity:016x}", meaning, packets, octets)


def counted_beside(names: Path) -> Path:
    """The file of totals that belongs to a table of rule names."""
    return names.with_name(f"{names.stem}-counted.jsonl")


def counted(rules: Iterable[RuleInfo]) -> dict[tuple[int, str], Figures]:
    """The figures of rules; alternatives of one rule are taken together."""
    found: dict[tuple[int, str], Figures] = {}
    for rule in rules:
        if identity := identity_of(rule.comment):
            key = (identity, meaning_of(rule.comment))
            found[key] = _sum(found.get(key, (0, 0)), counters(rule.expressions))
    return found


def _packed(lines: Iterable[_Line]) -> bytes:
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(line) + b"\n" for line in lines)


def _load(path: Path) -> list[_Line]:
    """Lines that cannot be read, such as one that a crash cut short, are skipped."""
    decoder = msgspec.json.Decoder(_Line)
    lines = []
    for text in path.read_bytes().splitlines() if path.exists() else ():
        try:
            line = decoder.decode(text)
            int(line.id or "0", 16)
        except ValueError:
            continue
        lines.append(line)
    return lines


def _sum(left: Figures, right: Figures) -> Figures:
    return left[0] + right[0], left[1] + right[1]
