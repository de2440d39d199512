"""`tortie wait`: what is so already, what becomes so, and what does not in time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

PROGRAM = Path(sys.executable).with_name("tortie")

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100, defaultAction: Pass}
"""


@pytest.mark.parametrize(
    "condition", ["create", "jsonpath={.spec.order}=100", "jsonpath=.spec.order=100", "jsonpath={.spec.defaultAction}"]
)
def test_what_is_so_already_is_told_at_once(run: Run, condition: str) -> None:
    run("apply", "-f", "-", text=TIER)
    result = run("wait", "tier/security", f"--for={condition}", "--timeout=0")
    assert (result.exit_code, result.stdout.startswith("Tier security: ")) == (0, True), result.output


@pytest.mark.parametrize(
    ("condition", "status", "words"),
    [
        ("Ready", 0, "Tier security: condition Ready is True\n"),
        ("ready=true", 0, "Tier security: condition ready is true\n"),
        ("Ready=False", 1, "Tier security: condition Ready is True, not False\n"),
        ("Happy", 1, "Tier security: has no condition Happy\n"),
    ],
)
def test_conditions_of_the_status_are_waited_for(run: Run, condition: str, status: int, words: str) -> None:
    run("apply", "-f", "-", text=f"{TIER}status: {{conditions: [{{type: Ready, status: 'True'}}]}}\n")
    result = run("wait", "tier/security", f"--for=condition={condition}", "--timeout=0")
    assert (result.exit_code, result.output) == (status, words)


def test_a_path_may_hold_signs_of_equality_itself(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    path = "{.spec[?(@==100)]}"
    assert run("wait", "tier/security", f"--for=jsonpath={path}=100", "--timeout=0").exit_code == 0
    assert run("wait", "tier/security", f"--for=jsonpath={path}=99", "--timeout=0").exit_code == 1


def test_what_does_not_become_so_in_time_fails_and_is_named(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    result = run("wait", "tier", "security", "gone", "--for=delete", "--timeout=1s")
    assert result.exit_code == 1
    assert result.stdout == "Tier gone: deleted\n"
    assert result.stderr == "Tier security: is still there, after 1 s\n"


@pytest.mark.parametrize(
    ("name", "condition", "words"),
    [
        ("security", "jsonpath={.spec.order}=5", "Tier security: .spec.order is 100, not 5\n"),
        ("security", "jsonpath=.spec.odrer=5", "Tier security: .spec.odrer has no value\n"),
        ("gone", "jsonpath=.spec.order=5", "Tier gone: does not exist\n"),
        ("gone", "create", "Tier gone: does not exist\n"),
    ],
)
def test_how_things_are_instead_is_said(run: Run, name: str, condition: str, words: str) -> None:
    run("apply", "-f", "-", text=TIER)
    assert run("wait", "tier", name, f"--for={condition}", "--timeout=0").stderr == words


def test_a_change_ends_the_wait(run: Run, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    environment = {**os.environ, "TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
    command = [PROGRAM, "wait", "tier/security", "--for=jsonpath={.spec.order}=7", "--timeout=60s"]
    waiting = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        run("apply", "-f", "-", text=TIER.replace("100", "7"))
        output, _ = waiting.communicate(timeout=30)
    finally:
        waiting.kill()
    assert (waiting.returncode, output) == (0, "Tier security: .spec.order is 7\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tier/a", "--for=gone"),
        ("tier/a", "--for=jsonpath={.a[}=1"),
        ("tier/a", "--for=create", "--timeout=soon"),
        ("tiers", "--for=create"),
        ("tier/a",),
    ],
)
def test_calls_that_make_no_sense_are_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    run("apply", "-f", "-", text=TIER)
    assert run("wait", *arguments).exit_code == 2
