"""Which personality of the command is running: known to all commands, loaded by those that speak."""

from __future__ import annotations

PERSONALITY = "tortie.personality"
"""Key of click's shared data for `module:class` of the reporter; absent for the command's own voice."""
