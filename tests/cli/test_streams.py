"""Standard output that cannot be written: the command says so in one line, and its work is done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

TIER = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}}"
LOST = "standard output cannot be written: No space left on device; what is missing there is lost\n"


def tortie(place: Path, words: str, redirection: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a shell that redirects its output."""
    command = ["sh", "-c", f"{sys.executable} -m tortie.cli {words} {redirection}"]
    environment = {**os.environ, "TORTIE_DATASTORE": str(place / "datastore.db")}
    return subprocess.run(command, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", ["get tiers", "version --client", "--help", "get tiers --watch"])
def test_a_full_disk_is_said_in_one_line(run: Run, tmp_path: Path, words: str) -> None:
    run("apply", "-f", "-", text=TIER)
    done = tortie(tmp_path, words, ">/dev/full")
    assert (done.returncode, done.stderr) == (1, LOST)


def test_what_writes_goes_on_when_nobody_can_be_told(run: Run, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    done = tortie(
        tmp_path, "apply -f -", ">/dev/full", "\n---\n".join(TIER.replace("security", name) for name in "abc")
    )
    assert (done.returncode, done.stderr) == (1, LOST)
    assert [f"tier/{name}" in run("get", "tiers", "-o", "name").output for name in "abc"] == [True] * 3


def test_errors_that_cannot_be_said_still_end_with_a_failure(run: Run, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    assert tortie(tmp_path, "get nodes", "2>/dev/full").returncode == 1
    assert tortie(tmp_path, "get tiers", "2>/dev/full").returncode == 0


def test_an_output_that_is_closed_or_left_is_no_fault_of_the_program(run: Run, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    assert "Bad file descriptor" in tortie(tmp_path, "get tiers", ">&-").stderr
    done = tortie(tmp_path, "get tiers", "| true")
    assert (done.returncode, done.stderr) == (0, "")
