"""The reference pages are those of the command as it is, and every command shows how it is used."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tortie.cli.main import tortie
from tortie.cli.reference import FOLDER, pages, walk

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = {
    context.command_path: context.command
    for context in walk(click.Context(tortie, info_name="tortie"))
    if not isinstance(context.command, click.Group)
}


def test_the_pages_in_the_repository_are_current() -> None:
    wanted = pages()
    present = {f"{FOLDER}/{path.name}": path.read_text() for path in (ROOT / FOLDER).glob("*.md")}
    stale = {path for path in wanted.keys() | present.keys() if wanted.get(path) != present.get(path)}
    assert not stale, "run tools/generate.py"


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_every_command_has_an_example(path: str) -> None:
    lines = [line.strip() for line in (COMMANDS[path].help or "").splitlines()]
    assert any(f"{path} " in f"{line} " for line in lines[1:]), path


def test_every_option_of_every_command_says_what_it_does() -> None:
    mute = [
        f"{path} {option.name}"
        for path, command in COMMANDS.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not option.hidden
    ]
    assert not mute


def test_pages_show_options_and_examples() -> None:
    text = pages()[f"{FOLDER}/get.md"]
    assert "```sh\ntortie get nodes\n" in text
    assert "| `-A, --all-namespaces` | Of every namespace. |" in text
    assert "## tortie lab up" in pages()[f"{FOLDER}/lab.md"]
