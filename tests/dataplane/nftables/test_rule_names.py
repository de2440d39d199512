"""The table of rule identities on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.dataplane.nftables.rule_names import RuleName, RuleNames
from tortie.desired.policy import Direction

LONG = RuleName("NetworkPolicy", "shop", "n" * 253, Direction.INGRESS, 3)
OTHER = RuleName("Profile", "", "p", Direction.EGRESS, 0)


def test_names_are_found_again_after_a_restart(tmp_path: Path) -> None:
    RuleNames(tmp_path / "names").record([LONG, OTHER])
    again = RuleNames(tmp_path / "names")
    assert again.find(LONG.identity) == LONG
    assert again.find(OTHER.identity) == OTHER
    assert again.find(1) is None


def test_a_name_is_written_once(tmp_path: Path) -> None:
    names = RuleNames(tmp_path / "names")
    names.record([LONG])
    size = (tmp_path / "names").stat().st_size
    names.record([LONG, LONG])
    assert (tmp_path / "names").stat().st_size == size


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "names"
    RuleNames(path).record([LONG])
    path.write_bytes(path.read_bytes() + b'{"id":"00')
    RuleNames(path).record([OTHER])
    again = RuleNames(path)
    assert (again.find(LONG.identity), again.find(OTHER.identity)) == (LONG, OTHER)


def test_names_for_which_there_was_no_room_are_known_and_written_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "full"
    names = RuleNames(path)
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        names.record([LONG])
    assert names.find(LONG.identity) == LONG
    path.unlink()
    names.record([])
    assert RuleNames(path).find(LONG.identity) == LONG


def test_forgetting_rewrites_the_file(tmp_path: Path) -> None:
    names = RuleNames(tmp_path / "names")
    names.record([LONG, OTHER])
    names.keep([OTHER.identity])
    again = RuleNames(tmp_path / "names")
    assert (again.find(LONG.identity), again.find(OTHER.identity)) == (None, OTHER)
