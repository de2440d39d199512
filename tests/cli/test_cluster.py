"""`tortie cluster diags`, `node diags` and `version`."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tortie.cli import diagnostics

Run = Callable[..., Result]

TIER = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 100}}"


def contents(folder: Path) -> dict[str, str]:
    """File to content of the one archive in a folder; nobody else may read it."""
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_a_cluster_archive_holds_resources_addresses_and_all_keys(run: Run, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    result = run("cluster", "diags", "--log-dir", str(tmp_path / "diags"))
    assert result.exit_code == 0, result.output
    files = contents(tmp_path / "diags")
    assert "name: security" in files["resources/tiers.yaml"]
    assert "found 0 problems" in files["ipam/check"]
    assert '"key":"/calico/resources/v3/projectcalico.org/tiers/security"' in files["datastore.jsonl"]


def test_a_node_archive_tells_what_programs_said_and_which_are_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {"system/kernel": "uname -a", "other/none": "tt-no-such-program", "other/bad": "cat /tt/none"}
    monkeypatch.setattr(diagnostics, "NODE_COMMANDS", commands)
    result = run("node", "diags", "--log-dir", str(tmp_path / "diags"), "--run-directory", str(tmp_path))
    assert result.exit_code == 0, result.output
    files = contents(tmp_path / "diags")
    assert os.uname().release in files["system/kernel"]
    assert files["other/none"] == "tt-no-such-program: is not installed\n"
    assert "cat /tt/none: status 1" in files["other/bad"]
    assert "is tortie-agent running?" in files["agent/status.json"]


def test_the_version_tells_of_the_cluster_too(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    lines = run("version").output.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Client Version",
        "Cluster Version",
        "Cluster Type",
        "Cluster Identity",
        "Datastore",
    ]
    assert len(run("version", "--client").output.splitlines()) == 1


def test_without_a_datastore_the_version_says_so(run: Run) -> None:
    result = run("version")
    assert result.exit_code == 3
    assert "there is no datastore" in result.output
