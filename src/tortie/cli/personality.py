"""Which personality of the command is running: known to all commands, loaded by those that speak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tortie.api.resource import ResourceKey

PERSONALITY = "tortie.personality"
"""Key of click's shared data for `module:class` of the reporter; absent for the command's own voice."""

PROGRAM = "tortie.program"
"""Key of the words by which people call this program, where they are others than `tortie`."""

DATASTORE, CONFIG, NAMESPACE = "tortie.datastore", "tortie.config", "tortie.namespace"
"""Keys of what was named before the command: the datastore, a configuration file, a namespace."""


LOCATION, FORCE = "tortie.location", "tortie.force"
"""Keys of where the datastore is that the command works on, and of whether it is to lock people out of hosts."""

UNAUTHORIZED = "connection is unauthorized: "
"""What calicoctl says first when the datastore does not let a user, and scripts look for."""


def program() -> str:
    """How people call this program, for hints that they can type."""
    context = click.get_current_context(silent=True)
    return str(context.meta.get(PROGRAM, "tortie")) if context else "tortie"


def before(key: str) -> Any:
    """What was named before the command, by one of the keys above, or None."""
    context = click.get_current_context(silent=True)
    return context.meta.get(key) if context else None


def identifier(key: ResourceKey) -> str:
    """`NetworkPolicy(shop/db)`, as calicoctl's users know it."""
    return f"{key.kind}({key.namespace}/{key.name})" if key.namespace else f"{key.kind}({key.name})"


def has_own_voice() -> bool:
    """Whether the running command speaks as `tortie`."""
    context = click.get_current_context(silent=True)
    return context is None or PERSONALITY not in context.meta
