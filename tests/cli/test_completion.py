"""What shells are offered: by the protocol of all of them, and by a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tortie.cli.completion import SHELLS, VARIABLE
from tortie.cli.main import tortie

Run = Callable[..., Result]

PROGRAM = Path(sys.executable).with_name("tortie")

RESOURCES = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
---
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: kns.pay}
"""


@pytest.fixture
def place(run: Run, tmp_path: Path) -> str:
    """Where a datastore with the resources above is."""
    assert run("apply", "-f", "-", text=RESOURCES).exit_code == 0
    return str(tmp_path / "datastore.db")


def offered(line: str, place: str) -> list[str]:
    """What is offered for the last word of a line, by the protocol that bash speaks."""
    words = line.split()
    position = len(words) if line.endswith(" ") else len(words) - 1
    environment = {
        VARIABLE: "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(position),
        "TORTIE_DATASTORE": place,
    }
    result = CliRunner().invoke(tortie, [], env=environment, prog_name="tortie", complete_var=VARIABLE)
    assert result.stderr == ""
    return [text.partition(",")[2] for text in result.stdout.splitlines() if text]


@pytest.mark.parametrize(
    ("line", "words"),
    {
        "tortie desc": ["describe"],
        "tortie get networkp": ["networkpolicies"],
        "tortie get tiers,hostend": ["tiers,hostendpoints"],
        "tortie get gn": ["gnp", "gns"],
        "tortie get tier s": ["security"],
        "tortie describe tier/se": ["tier/security"],
        "tortie get tier security ": ["default", "kube-admin", "kube-baseline"],
        "tortie get np -n shop ": ["web"],
        "tortie get -A np ": ["web"],
        "tortie get np ": [],
        "tortie get np -n s": ["shop"],
        "tortie get -n ": ["default", "pay", "shop"],
        "tortie get --show": ["--show-labels"],
        "tortie get -o j": ["json", "jsonpath=", "jsonpath-file="],
        "tortie delete tier k": ["kube-admin", "kube-baseline"],
        "tortie explain tier": ["tiers"],
        "tortie completion z": ["zsh"],
        "tortie get nothing ": [],
    }.items(),
)
def test_words_are_offered(place: str, line: str, words: list[str]) -> None:
    assert offered(line, place) == words


@pytest.mark.parametrize("place", ["/nowhere/datastore.db", "http://127.0.0.1:1", __file__])
def test_a_datastore_that_does_not_answer_offers_nothing_and_says_nothing(place: str) -> None:
    assert offered("tortie get tier ", place) == []
    assert offered("tortie get ti", place) == ["tiers"]


def test_files_are_left_to_the_shell(place: str) -> None:
    environment = {VARIABLE: "bash_complete", "COMP_WORDS": "tortie apply -f x", "COMP_CWORD": "3"}
    result = CliRunner().invoke(tortie, [], env=environment, prog_name="tortie", complete_var=VARIABLE)
    assert result.stdout == "file,x\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_that_asks_this_program(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert (result.exit_code, f"{VARIABLE}={shell}_complete" in result.stdout) == (0, True), result.output


def test_another_shell_is_refused_with_those_that_are_known(run: Run) -> None:
    result = run("completion", "tcsh")
    assert (result.exit_code, "zsh" in result.output) == (2, True)


BASH = """
source <(tortie completion bash)
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_tortie_completion tortie
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("tortie get np -n sh", ["shop"]),
        pytest.param("tortie get tier sec", ["security"], marks=pytest.mark.thorough),
        pytest.param("tortie compl", ["completion"], marks=pytest.mark.thorough),
    ],
)
def test_bash_completes_with_the_script(place: str, words: str, reply: list[str]) -> None:
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "TORTIE_DATASTORE": place}
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(words=words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == (reply, "")
