"""The options by which an agent is started, whatever the command is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

CONFIGURATION_FILE = Path("/etc/tortie/agent.conf")


def agent_options(function: Callable[..., None]) -> Callable[..., Any]:
    """`--config` and `--show-settings`."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=CONFIGURATION_FILE,
        show_default=True,
        help="File of `key = value` lines.",
    )
    shown = click.option("--show-settings", is_flag=True, help="Print settings and origins, and end.")
    return config(shown(function))
