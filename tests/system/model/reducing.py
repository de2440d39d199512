"""From contents that fail to the least that still do, and how that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from model.contents import Contents

from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.rules import EntityRule

Drawn = tuple[Contents, ...]

_TRIES = 200


def least(drawn: Drawn, fails: Callable[[Drawn], bool]) -> Drawn | None:
    """None if these do not fail; else what is left when nothing more can be left out, or patience ends."""
    if not fails(drawn):
        return None
    tries, found = 0, True
    while found and tries < _TRIES:
        found = False
        for candidate in _smaller(drawn):
            tries += 1
            if fails(candidate):
                drawn, found = candidate, True
                break
            if tries >= _TRIES:
                break
    return drawn


def report(drawn: Drawn, wrong: Sequence[str]) -> str:
    """All that failed and what is wrong, one line each."""
    return "\n".join(["", *(f"--- contents {number}\n{one}" for number, one in enumerate(drawn, 1)), "---", *wrong])


def _smaller(drawn: Drawn) -> Iterator[Drawn]:
    for index, one in enumerate(drawn):
        for less in _less_of(one):
            yield (*drawn[:index], less, *drawn[index + 1 :])


def _less_of(contents: Contents) -> Iterator[Contents]:
    """The same without one resource, or with less in one of its rules."""
    for key, one in contents.items():
        yield Contents((other, kept) for other, kept in contents.items() if other != key)
        if isinstance(one, NetworkPolicy | GlobalNetworkPolicy | Profile):
            for spec in _simpler(one.spec):
                yield Contents({**contents, key: msgspec.structs.replace(one, spec=spec)})


def _simpler(spec: Any) -> Iterator[Any]:
    for way in ("ingress", "egress"):
        rules = getattr(spec, way)
        for index, rule in enumerate(rules):
            for less in ((), *((one,) for one in _less(rule))):
                yield msgspec.structs.replace(spec, **{way: (*rules[:index], *less, *rules[index + 1 :])})


def _less(value: Any) -> Iterator[Any]:
    """A rule, or a side of it, with one match less."""
    for field in msgspec.structs.fields(type(value)):
        old = getattr(value, field.name)
        if isinstance(old, EntityRule):
            for side in _less(old):
                yield msgspec.structs.replace(value, **{field.name: side})
        elif field.default is not msgspec.NODEFAULT and old != field.default:
            yield msgspec.structs.replace(value, **{field.name: field.default})
