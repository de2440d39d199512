"""`tortie explain A B`: what is known of traffic between two ends, told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tortie.analysis.explanation import Explanation
from tortie.analysis.nodes import KINDS, Nodes
from tortie.analysis.who import Service
from tortie.cli import why
from tortie.cli.connection import FAILED, is_missing, or_exit
from tortie.cli.felix import configured
from tortie.cli.inputs import Input
from tortie.cli.output import Format, say, structured
from tortie.cli.snapshot import compiled, snapshot, stored_blocks
from tortie.datastore.location import Location
from tortie.desired.policy import Action

if TYPE_CHECKING:
    from tortie.lab.lab import Lab

DENIED = 4
"""Exit code: what was asked about does not get through."""


class Telling(msgspec.Struct, frozen=True):
    """How it is to be told.

    Args:
        lab: where a packet is to be sent; empty for nowhere.
        output: of the formats for programs, or empty.
    """

    everything: bool = False
    offline: bool = False
    lab: str = ""
    output: str = ""


def tell(words: tuple[str, str], service: Service, given: Input, location: Location, telling: Telling) -> int:
    """Tell it; returns the exit code."""
    if telling.lab:
        return _live(words, service, given, telling)
    found = explained(words, service, given, location, offline=telling.offline)
    _say(found, [[] for _ in found], [{} for _ in found], telling)
    return _code(found)


def explained(
    words: tuple[str, str], service: Service, given: Input, location: Location, *, offline: bool
) -> list[Explanation]:
    """What is known; ends the command when it cannot be."""
    resources = snapshot(location, given, offline=offline, besides=KINDS)
    cluster = compiled(resources)
    parties = or_exit(lambda: why.parties(cluster, words, given.namespace))
    blocks = [] if offline or is_missing(location) else stored_blocks(location)
    return why.explanations(cluster, parties, service, Nodes(resources, configured, blocks))


def _code(found: Sequence[Explanation]) -> int:
    if not found:
        return FAILED
    return DENIED if any(one.verdict is Action.DENY for one in found) else 0


def _live(words: tuple[str, str], service: Service, given: Input, telling: Telling) -> int:
    # Labs and probes are for those who ask for them.
    from tortie.cli import live
    from tortie.lab.cluster import location as location_of

    lab = live.lab_of(telling.lab)
    found = explained(words, service, given, location_of(lab.topology), offline=False)
    try:
        return tell_live(lab, found, telling)
    finally:
        lab.close()


def tell_live(lab: Lab, found: Sequence[Explanation], telling: Telling) -> int:
    """Send what was explained in a lab, and tell what became of it too; returns the exit code."""
    from tortie.cli import live

    seen = [live.confirm(lab, one) for one in found]
    _say(found, [list(live.lines(one)) for one in seen], [{"live": live.plain(one)} for one in seen], telling)
    if any(one.contradictions for one in seen):
        return live.CONTRADICTED
    return _code(found)


def _say(
    found: Sequence[Explanation],
    lines: Sequence[Sequence[str]],
    more: Sequence[dict[str, Any]],
    telling: Telling,
) -> None:
    if telling.output:
        plain = [why.plain(one) | besides for one, besides in zip(found, more, strict=True)]
        say(structured(plain, Format(telling.output)))
        return
    texts = [
        "\n".join([why.text(one, everything=telling.everything), *([""] if besides else []), *besides])
        for one, besides in zip(found, lines, strict=True)
    ]
    say("\n\n".join(texts) or "nobody is paired here")
