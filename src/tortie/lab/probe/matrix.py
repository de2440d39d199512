"""The truth table of who reaches whom: made from probes, shown as text or JSON, compared with what is wanted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tortie.lab.probe.model import Outcome, Probe, Transport, Verdict
from tortie.lab.probe.prober import Prober

_MARK = {Verdict.ALLOWED: ".", Verdict.DENIED: "X", Verdict.REFUSED: "R"}
_PAUSE = 0.05
_CORNER = "from \\ to"


class Member(msgspec.Struct, frozen=True):
    """A row and column of the table: a station, and its address of each family that it has."""

    name: str
    addresses: tuple[str, ...]

    def address(self, family: int) -> str:
        """Its first address of that family; empty when it has none."""
        return next((one for one in self.addresses if (":" in one) == (family == 6)), "")


class Question(msgspec.Struct, frozen=True, order=True):
    """What one table asks of every pair."""

    transport: Transport
    family: int
    port: int = 80

    def __str__(self) -> str:
        port = "" if self.transport is Transport.ICMP else f"/{self.port}"
        return f"{self.transport}{port} IPv{self.family}"


EVERY_TRANSPORT = tuple(Question(transport, family) for transport in Transport for family in (4, 6))


class Matrix(msgspec.Struct, frozen=True):
    """Outcomes by (from, to); pairs that could not be asked are missing.

    Text shows `.` allowed, `X` denied, `R` refused, blank for not asked.
    """

    question: Question
    names: tuple[str, ...]
    outcomes: Mapping[tuple[str, str], Outcome]

    def allowed(self) -> frozenset[tuple[str, str]]:
        """The pairs that get through."""
        return frozenset(pair for pair, outcome in self.outcomes.items() if outcome.allowed)

    def differences(self, expected: Iterable[tuple[str, str]]) -> list[Outcome]:
        """The outcomes that are not as expected: the pairs named should get through, and no others."""
        wanted = frozenset(expected)
        return [outcome for pair, outcome in self.outcomes.items() if outcome.allowed != (pair in wanted)]

    def text(self) -> str:
        """Rows are from, columns are to."""
        width = max(len(_CORNER), *map(len, self.names)) if self.names else len(_CORNER)
        lines = [[_CORNER.ljust(width), *self.names]]
        for name in self.names:
            lines.append([name.ljust(width), *(self._mark(name, to).center(len(to)) for to in self.names)])
        return "\n".join([str(self.question), *("  ".join(line).rstrip() for line in lines)])

    def json(self) -> bytes:
        """The question, and per pair the verdict, milliseconds, reason and who answered."""
        return msgspec.json.encode(
            {
                "question": self.question,
                "outcomes": [
                    {
                        "from": source,
                        "to": to,
                        "verdict": one.verdict,
                        "milliseconds": round(one.latency * 1000, 3),
                        "reason": one.reason,
                        "answeredBy": one.answered_by,
                    }
                    for (source, to), one in self.outcomes.items()
                ],
            }
        )

    def _mark(self, source: str, to: str) -> str:
        outcome = self.outcomes.get((source, to))
        return _MARK[outcome.verdict] if outcome else " "


def probes(members: Sequence[Member], question: Question) -> dict[tuple[str, str], Probe]:
    """One probe for every ordered pair of different members where both have an address of the family."""
    return {
        (source.name, to.name): Probe(source.name, to.address(question.family), question.transport, question.port)
        for source in members
        for to in members
        if source is not to and source.address(question.family) and to.address(question.family)
    }


def matrices(prober: Prober, members: Sequence[Member], questions: Sequence[Question]) -> list[Matrix]:
    """Ask all questions of all pairs at once; one table per question."""
    asked = [probes(members, question) for question in questions]
    outcomes = iter(prober.run([probe for table in asked for probe in table.values()]))
    names = tuple(member.name for member in members)
    return [
        Matrix(question, names, {pair: next(outcomes) for pair in table})
        for question, table in zip(questions, asked, strict=True)
    ]


def eventually(prober: Prober, expected: Mapping[Probe, bool], within: float = 5.0) -> list[Outcome]:
    """Repeat probes until each is allowed or not as expected; those that are not are asked again.

    Returns:
        The outcomes that were still wrong after `within` seconds; empty is success.
    """
    deadline = time.monotonic() + within
    wrong = [outcome for outcome in prober.run(list(expected)) if outcome.allowed != expected[outcome.probe]]
    while wrong and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        again = prober.run([outcome.probe for outcome in wrong])
        wrong = [outcome for outcome in again if outcome.allowed != expected[outcome.probe]]
    return wrong
