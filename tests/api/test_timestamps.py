"""A time that other readers could not read is refused before it is stored."""

from __future__ import annotations

import pytest

from tortie.api.networkset import GlobalNetworkSet
from tortie.api.resource import Condition, Metadata
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.timestamps import is_timestamp
from tortie.api.validation import problems


@pytest.mark.parametrize(
    "text",
    ["2026-08-23T09:00:00Z", "2026-08-23T09:00:00.123456789Z", "2026-08-23T11:00:00+02:00", "2024-02-29T00:00:00Z"],
)
def test_these_are_times(text: str) -> None:
    assert is_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-08-23",
        "2026-08-23T09:00:00",
        "2026-08-23 09:00:00Z",
        "2026-02-30T09:00:00Z",
        "2026-08-23T25:00:00Z",
    ],
)
def test_these_are_none(text: str) -> None:
    assert not is_timestamp(text)


def test_they_are_refused_wherever_they_stand() -> None:
    metadata = Metadata(name="a", creation_timestamp="yesterday", deletion_timestamp="tomorrow")
    found = problems(GlobalNetworkSet(metadata=metadata), lambda _: None)
    assert [problem.path for problem in found] == ["metadata.creationTimestamp", "metadata.deletionTimestamp"]
    status = TierStatus(conditions=(Condition(type="Ready", status="True", last_transition_time="now"),))
    tier = Tier(metadata=Metadata(name="a"), spec=TierSpec(order=1.0, default_action="Deny"), status=status)
    assert [problem.path for problem in problems(tier, lambda _: None)] == ["status.conditions[0].lastTransitionTime"]
