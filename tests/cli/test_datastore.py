"""`tortie datastore migrate` as people use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

TIER = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 100}}"


@pytest.fixture
def filled(run: Run) -> None:
    assert run("apply", "-f", "-", text=TIER).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_a_datastore_moves_and_stays_locked_until_unlocked(run: Run, tmp_path: Path) -> None:
    file, target = str(tmp_path / "cluster.jsonl"), ("--datastore", str(tmp_path / "other.db"))
    refused = run("datastore", "migrate", "export", "-f", file)
    assert refused.exit_code == 1
    assert "run `tortie datastore migrate lock` first" in refused.output
    assert run("datastore", "migrate", "lock").output == "Datastore locked.\n"
    assert run("datastore", "migrate", "lock").output == "Datastore was locked already.\n"
    assert run("datastore", "migrate", "export", "-f", file).exit_code == 0
    imported = run("datastore", "migrate", "import", "-f", file, *target)
    assert imported.exit_code == 0, imported.output
    assert "0 were there already" in imported.output
    assert "run `tortie datastore migrate unlock`" in imported.output
    assert "Datastore:         locked" in run("version", *target).output
    assert run("datastore", "migrate", "unlock", *target).output == "Datastore unlocked.\n"
    assert run("get", "tier", "security", "-o", "yaml", *target).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_a_backup_needs_no_lock_and_goes_to_standard_output(run: Run, tmp_path: Path) -> None:
    result = run("datastore", "migrate", "export", "--unlocked")
    assert result.exit_code == 0
    assert result.stdout.startswith('{"format":"tortie-datastore","version":1,')
    again = run("datastore", "migrate", "import", "-f", "-", "--datastore", str(tmp_path / "b.db"), text=result.stdout)
    assert again.exit_code == 0, again.output


@pytest.mark.usefixtures("filled")
def test_a_datastore_in_use_is_not_written_to(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "cluster.jsonl")
    run("datastore", "migrate", "export", "--unlocked", "-f", file)
    run("apply", "-f", "-", text=TIER.replace("security", "other"))
    result = run("datastore", "migrate", "import", "-f", file)
    assert result.exit_code == 1
    assert "tiers/other" in result.output or "clusterinformations/default" in result.output
    assert "import into an empty datastore; nothing was overwritten" in result.output


def test_what_cannot_be_read_or_written_is_told(run: Run, filled: None, tmp_path: Path) -> None:
    missing = run("datastore", "migrate", "import", "-f", str(tmp_path / "none"))
    assert missing.exit_code == 1
    assert "cannot be read" in missing.output
    unwritable = run("datastore", "migrate", "export", "--unlocked", "-f", str(tmp_path / "no" / "folder"))
    assert unwritable.exit_code == 3
    assert "cannot be written" in unwritable.output


def test_no_policy_of_today_is_renamed(run: Run, filled: None) -> None:
    assert run("datastore", "migrate-policy-names").output == "No policy has an old name.\n"
