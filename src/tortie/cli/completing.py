"""What a shell offers for half a word: kinds, names of resources, namespaces. Silent, and done within a second."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click

from tortie.base.errors import TortieError
from tortie.datastore.reading import ResourceReader

PATIENCE_SECONDS = 1.0
"""How long a person who pressed a key waits for a datastore."""

NAMESPACE_PROFILE = "kns."
"""Names of profiles that stand for a namespace begin so."""

_WITH_NAMESPACES = ("NetworkPolicy", "NetworkSet")


def complete_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Kinds for the first word, then names of that kind; `KIND/` is followed by a name at once."""
    given: Sequence[str] = context.params.get(parameter.name or "") or ()
    if given and "/" not in given[0]:
        return [name for name in _names(context, given[0]) if name.startswith(incomplete) and name not in given]
    kind, slash, begin = incomplete.partition("/")
    if slash:
        return [f"{kind}/{name}" for name in _names(context, kind) if name.startswith(begin)]
    return complete_kinds(context, parameter, incomplete)


def complete_kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Plurals of kinds, also behind a comma; other names of theirs when no plural begins so."""
    from tortie.api.kinds import KINDS

    before, comma, begin = incomplete.rpartition(",")
    begin = begin.lower()
    plurals = [kind.plural for kind in KINDS.values() if kind.plural.startswith(begin)]
    others = [name for kind in KINDS.values() for name in (kind.kind.lower(), *kind.aliases) if name.startswith(begin)]
    return [f"{before}{comma}{name}" for name in plurals or others]


def complete_namespaces(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Namespaces that profiles, policies and network sets tell of."""

    async def namespaces(reader: ResourceReader) -> list[str]:
        profiles = [key.name for key in await reader.keys("Profile") if key.name.startswith(NAMESPACE_PROFILE)]
        others = [key.namespace for kind in _WITH_NAMESPACES for key in await reader.keys(kind)]
        return sorted({"default", *others, *(name.removeprefix(NAMESPACE_PROFILE) for name in profiles)})

    return [name for name in _asked(context, namespaces) if name.startswith(incomplete)]


def _names(context: click.Context, kinds: str) -> list[str]:
    from tortie.cli.selection import kinds_of

    async def names(reader: ResourceReader) -> list[str]:
        everywhere = context.params.get("all_namespaces")
        namespace = None if everywhere else context.params.get("namespace") or "default"
        found = [key.name for kind in kinds_of(kinds) for key in await reader.keys(kind, namespace)]
        return list(dict.fromkeys(found))

    return _asked(context, names)


def _asked(context: click.Context, question: Callable[[ResourceReader], Awaitable[list[str]]]) -> list[str]:
    """What the datastore answers; nothing when it does not, or not in time."""
    from tortie.cli.connection import chosen_location

    async def ask() -> list[str]:
        from tortie.datastore.open import open_datastore

        location = chosen_location(context.params.get("datastore"), context.params.get("config"))
        if isinstance(location, Path) and not location.exists():
            return []
        datastore = await open_datastore(location)
        try:
            return await asyncio.wait_for(question(ResourceReader(datastore)), PATIENCE_SECONDS)
        finally:
            await datastore.close()

    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return asyncio.run(ask())
        except (TortieError, TimeoutError, click.UsageError):
            return []
