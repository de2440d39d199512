"""Whether a machine can run an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.agent import checks
from tortie.agent.checks import CHECKS, Check, Refused, run_checks


def refuse() -> None:
    raise Refused("out of order")


@pytest.mark.kernel
def test_this_machine_can_do_all_that_is_required() -> None:
    before = Path("/proc/thread-self/ns/net").stat().st_ino
    outcomes = run_checks()
    assert [outcome.name for outcome in outcomes] == [check.name for check in CHECKS]
    assert [outcome for outcome in outcomes if outcome.problem and outcome.required] == []
    assert Path("/proc/thread-self/ns/net").stat().st_ino == before


@pytest.mark.kernel
def test_what_cannot_be_done_is_told_and_the_rest_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", (Check("one", refuse, "repair it"), Check("two", lambda: None, "")))
    first, second = run_checks()
    assert (first.problem, first.remedy, second.problem) == ("out of order", "repair it", "")
