"""The table of who reaches whom."""

from __future__ import annotations

import msgspec

from tortie.lab.probe.matrix import Matrix, Member, Question, probes
from tortie.lab.probe.model import Outcome, Probe, Transport, Verdict

WEB = Question(Transport.TCP, 4)


def table(**verdicts: Verdict) -> Matrix:
    """Outcomes by `from_to`."""
    pairs = {(name[0], name[2]): verdict for name, verdict in verdicts.items()}
    return Matrix(WEB, ("a", "b"), {pair: Outcome(Probe(pair[0], "x"), one, 0.001) for pair, one in pairs.items()})


def test_text_has_a_row_for_from_and_a_column_for_to() -> None:
    text = table(a_b=Verdict.ALLOWED, b_a=Verdict.DENIED).text()
    assert text.splitlines() == ["tcp/80 IPv4", "from \\ to  a  b", "a             .", "b          X"]


def test_refusal_shows_as_its_own_letter() -> None:
    assert table(a_b=Verdict.REFUSED).text().splitlines()[2].endswith("R")


def test_differences_name_what_is_open_and_should_not_be_and_the_reverse() -> None:
    matrix = table(a_b=Verdict.ALLOWED, b_a=Verdict.DENIED)
    assert matrix.differences({("a", "b")}) == []
    assert [str(one.probe.source) for one in matrix.differences({("b", "a")})] == ["a", "b"]


def test_json_gives_verdict_and_time_of_every_pair() -> None:
    decoded = msgspec.json.decode(table(a_b=Verdict.DENIED).json())
    assert decoded["question"] == {"transport": "tcp", "family": 4, "port": 80}
    assert (
        decoded["outcomes"][0] | {"from": "a", "to": "b", "verdict": "denied", "milliseconds": 1.0}
        == (decoded["outcomes"][0])
    )


def test_pairs_without_an_address_of_the_family_are_not_asked() -> None:
    members = [Member("a", ("10.0.0.1", "fd00::1")), Member("b", ("10.0.0.2",))]
    assert list(probes(members, WEB)) == [("a", "b"), ("b", "a")]
    assert probes(members, Question(Transport.TCP, 6)) == {}
