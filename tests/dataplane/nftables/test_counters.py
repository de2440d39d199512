"""What rules counted is kept when they are replaced, and when the agent is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.dataplane.nftables.counters import CounterTotals

RULE, OTHER = (1, "a"), (1, "b")


def totals(path: Path | None = None, now: float = 7.0) -> CounterTotals:
    return CounterTotals(path, lambda: now)


def test_what_a_rule_counted_before_is_added_to_what_it_counts_now() -> None:
    kept = totals()
    kept.add({RULE: (2, 200)})
    kept.add({RULE: (1, 100)})
    assert kept.together_with({RULE: (4, 400)}) == {1: (7, 700)}


def test_a_rule_that_is_gone_keeps_its_figures_until_another_takes_its_place() -> None:
    kept = totals()
    kept.add({RULE: (2, 200)})
    assert kept.together_with({}) == {1: (2, 200)}
    assert kept.together_with({OTHER: (0, 0)}) == {1: (0, 0)}


def test_the_figures_and_the_beginning_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "counted"
    totals(path).add({RULE: (2, 200)})
    again = totals(path, now=99.0)
    again.add({RULE: (1, 100)})
    assert totals(path).together_with({RULE: (0, 0)}) == {1: (3, 300)}
    assert again.since == totals(path).since == 7.0


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "counted"
    kept = totals(path)
    kept.add({RULE: (2, 200)})
    path.write_bytes(path.read_bytes() + b'{"id":"00')
    kept.add({RULE: (1, 100)})
    assert totals(path).together_with({}) == {1: (3, 300)}


def test_a_file_that_became_long_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "counted"
    kept = totals(path)
    for _ in range(12):
        kept.add({(number, ""): (1, 100) for number in range(1, 1001)})
    assert len(path.read_text().splitlines()) < 6000
    assert totals(path).together_with({})[7] == (12, 1200)


def test_figures_of_rules_that_nobody_needs_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "counted"
    kept = totals(path)
    kept.add({RULE: (2, 200), (2, ""): (1, 100)})
    kept.keep({2})
    assert kept.together_with({}) == totals(path).together_with({}) == {2: (1, 100)}


def test_figures_for_which_there_is_no_room_are_written_when_there_is(tmp_path: Path) -> None:
    path = tmp_path / "away" / "counted"
    kept = totals(path)
    with pytest.raises(OSError, match="counted"):
        kept.add({RULE: (2, 200)})
    assert kept.together_with({}) == {1: (2, 200)}
    path.parent.mkdir()
    kept.add({RULE: (1, 100)})
    again = totals(path, now=99.0)
    assert (again.together_with({}), again.since) == ({1: (3, 300)}, 7.0)


def test_the_file_grows_no_longer_than_there_are_rules(tmp_path: Path) -> None:
    path = tmp_path / "counted"
    kept = totals(path)
    for _ in range(50):
        kept.add({RULE: (1, 100), (2, ""): (0, 0)})
    totals(path)
    assert len(path.read_text().splitlines()) == 2
