"""Which personality of the command is running: known to all commands, loaded by those that speak."""

from __future__ import annotations

import click

PERSONALITY = "tortie.personality"
"""Key of click's shared data for `module:class` of the reporter; absent for the command's own voice."""


def has_own_voice() -> bool:
    """Whether the running command speaks as `tortie`."""
    context = click.get_current_context(silent=True)
    return context is None or PERSONALITY not in context.meta
