"""Which personality of the command is running: known to all commands, loaded by those that speak."""

from __future__ import annotations

from pathlib import Path

import click

from tortie.api.resource import ResourceKey

PERSONALITY = "tortie.personality"
"""Key of click's shared data for `module:class` of the reporter; absent for the command's own voice."""

PROGRAM = "tortie.program"
"""Key of the words by which people call this program, where they are others than `tortie`."""

CONFIG = "tortie.config"
"""Key of the configuration file that was named before the command."""


def program() -> str:
    """How people call this program, for hints that they can type."""
    context = click.get_current_context(silent=True)
    return str(context.meta.get(PROGRAM, "tortie")) if context else "tortie"


def config_before() -> Path | None:
    """The configuration file that was named before the command."""
    context = click.get_current_context(silent=True)
    found: Path | None = context.meta.get(CONFIG) if context else None
    return found


def identifier(key: ResourceKey) -> str:
    """`NetworkPolicy(shop/db)`, as calicoctl's users know it."""
    return f"{key.kind}({key.namespace}/{key.name})" if key.namespace else f"{key.kind}({key.name})"


def has_own_voice() -> bool:
    """Whether the running command speaks as `tortie`."""
    context = click.get_current_context(silent=True)
    return context is None or PERSONALITY not in context.meta
