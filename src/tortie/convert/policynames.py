"""Names of cluster-wide Kubernetes policies as those of global policies, which have one dot at most."""

from __future__ import annotations

import re

from tortie.api import formats
from tortie.convert.converted import Unconvertible

LONGEST = 253
"""Characters that the name of a global policy may have."""


def global_policy_name(prefix: str, name: str) -> str:
    """`prefix.name`, and for a name with dots one that says where they were: `prefix-3.web-shop` for `web.shop`.

    Each number counts the characters before a dot, so that no two names become the same.

    Raises:
        Unconvertible: no name of Kubernetes, or too long a one.
    """
    if not formats.NAME.accepts(name):
        raise Unconvertible("metadata.name", f"{name!r} is not a name", f"use {formats.NAME.expected}")
    dots = "".join(f"-{dot.start()}" for dot in re.finditer(r"\.", name))
    stored = f"{prefix}{dots}.{name.replace('.', '-')}"
    if len(stored) > LONGEST:
        problem = f"is too long: as {stored[:20]}… it has {len(stored)} characters of at most {LONGEST}"
        raise Unconvertible("metadata.name", problem, f"shorten it by {len(stored) - LONGEST}")
    return stored


def original_name(stored: str) -> str:
    """The inverse: the name that a global policy has in Kubernetes."""
    first, _, name = stored.partition(".")
    characters = list(name)
    for position in first.split("-")[1:]:
        characters[int(position)] = "."
    return "".join(characters)
