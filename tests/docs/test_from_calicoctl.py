"""The page for calicoctl's users: every command on it is run, in order, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tortie.cli.calicoctl import COMMANDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "from-calicoctl.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_on_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("tortie", "calicoctl"):
        program = programs / name
        program.write_text(f"#!{sys.executable}\nfrom tortie.cli.main import main\nmain()\n")
        program.chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
    _run("tortie ipam configure --strictaffinity=true", tmp_path, environment)
    for language, text in FENCE.findall(PAGE.read_text()):
        if language == "yaml":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
        if language == "console":
            commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
            printed = [f"$ {command}\n{_run(command, tmp_path, environment)}" for command in commands]
            assert "".join(printed) == text


def test_every_word_of_calicoctl_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert {word for word in COMMANDS if f"`{word} " not in page and f"`{word}`" not in page} == set()


def _run(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        shell=True,
        check=False,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout
