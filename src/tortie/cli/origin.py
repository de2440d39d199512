"""Who runs the command, and why, for the record of what was changed."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import click

from tortie.cli.personality import FORCE
from tortie.datastore.changelog import Origin

_ORIGIN, _WHY = "tortie.origin", "tortie.why"
"""Keys of click's shared data."""


def _keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value:
        context.meta[_WHY] = value


why_option = click.option(
    "-m",
    "--message",
    envvar="TORTIE_MESSAGE",
    expose_value=False,
    callback=_keep,
    help="Why, for `tortie history`.",
)
"""`-m`: kept for the record; the command itself gets nothing."""


def _insist(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[FORCE] = True


force_option = click.option(
    "--force", is_flag=True, expose_value=False, callback=_insist, help="Even if it locks somebody out of a host."
)
"""`--force`: kept for the analysis; the command itself gets nothing."""


def origin() -> Origin:
    """Who runs this command; the same for all that it writes."""
    from tortie.datastore.journal import change_id  # for those who write only

    context = click.get_current_context(silent=True)
    meta: dict[str, Any] = context.meta if context else {}
    if _ORIGIN not in meta:
        program = context.command_path if context else ""
        meta[_ORIGIN] = Origin(who(os.environ), program, meta.get(_WHY, ""), change_id(time.time()))
    found: Origin = meta[_ORIGIN]
    return found


def who(environment: Mapping[str, str]) -> str:
    """`alice@bastion`: whoever became root by sudo is still told."""
    try:
        user = environment.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())  # a container may know no name for it
    return f"{user}@{socket.gethostname()}"
