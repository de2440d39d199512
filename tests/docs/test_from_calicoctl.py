"""The page for calicoctl's users: every command on it is run, in order, and prints what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.calicoctl import COMMANDS, calicoctl
from tortie.cli.main import tortie

PAGE = Path(__file__).resolve().parents[2] / "docs" / "from-calicoctl.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_on_the_page_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORTIE_DATASTORE", str(tmp_path / "datastore.db"))
    _run("tortie ipam configure --strictaffinity=true")
    for language, text in FENCE.findall(PAGE.read_text()):
        if language == "yaml":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
        if language == "console":
            commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
            printed = [f"$ {command}\n{_run(command)}" for command in commands]
            assert "".join(printed) == text


def test_every_word_of_calicoctl_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert {word for word in COMMANDS if f"`{word} " not in page and f"`{word}`" not in page} == set()


def _run(command: str) -> str:
    program, *words = shlex.split(command)
    return CliRunner().invoke({"tortie": tortie, "calicoctl": calicoctl}[program], words, prog_name=program).output
