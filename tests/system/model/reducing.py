"""From contents that fail to the least that still do, and how that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from model.contents import Contents, smaller

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
        for less in smaller(one):
            yield (*drawn[:index], less, *drawn[index + 1 :])
