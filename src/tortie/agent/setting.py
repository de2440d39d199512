"""One row of a table of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Setting(msgspec.Struct, frozen=True):
    """One row.

    Args:
        name: field of Settings; upper-cased behind TORTIE_ it is the environment variable.
        parse: text to value; raises ValueError saying what would be right.
        default: as text.
        also: further environment variables.
        meaning: one sentence for people.
        secret: never to be shown.
    """

    name: str
    parse: Callable[[str], Any]
    default: str
    meaning: str
    also: tuple[str, ...] = ()
    secret: bool = False
