"""The tortie-agent command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from tortie import __version__
from tortie.agent.main import main

PROGRAM = Path(sys.executable).with_name("tortie-agent")


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def test_the_version_is_printed_by_the_real_program() -> None:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_settings_are_shown_with_where_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "agent.conf"
    file.write_text("health_port = 1\n")
    done = run("--config", str(file), "--show-settings", TORTIE_NODE="n1")
    assert done.exit_code == 0
    assert "health_port = 1    # configuration file" in done.stdout.splitlines()
    assert "node = n1    # environment TORTIE_NODE" in done.stdout.splitlines()


def test_a_bad_setting_ends_the_start_with_status_2_and_says_what_would_be_right() -> None:
    done = run("--config", "/dev/null", TORTIE_HEALTH_PORT="many")
    assert done.exit_code == 2
    assert done.stderr.strip() == (
        "environment TORTIE_HEALTH_PORT: health_port: 'many' cannot be used (use a port from 1 to 65535, or 0 for none)"
    )
