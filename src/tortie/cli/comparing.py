"""`tortie diff --meaning` and `--flows`: two clusters side by side, and what of their difference is forbidden."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from tortie.analysis.difference import Change, changes
from tortie.analysis.flowrecords import FlowRecord, read_flows
from tortie.analysis.replay import Outcome, replay
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.connection import is_missing, or_exit
from tortie.cli.inputs import Input
from tortie.cli.meaning import Shape, replayed_told, told
from tortie.cli.output import say
from tortie.cli.revision import files_at
from tortie.cli.snapshot import compiled, filed_resources, merged, stored_resources
from tortie.datastore.location import Location

SAME, DIFFERENT, FORBIDDEN = 0, 1, 4
"""Exit codes."""

FORBIDS: dict[str, Callable[[Change], bool]] = {
    "opens": lambda one: bool(one.opened),
    "closes": lambda one: bool(one.closed),
    "opens-from-outside": lambda one: bool(one.opened) and one.from_outside,
    "opens-to-outside": lambda one: bool(one.opened) and one.to_outside,
}
"""Classes of change that can be forbidden."""


class Wanted(msgspec.Struct, frozen=True):
    """What is to be compared, and how.

    Args:
        against: files that hold the whole cluster as it is.
        revision: of git, at which the files are taken for how it is.
        flows: files of flow records.
        forbidden: keys of FORBIDS.
    """

    against: tuple[Path, ...] = ()
    revision: str = ""
    flows: tuple[Path, ...] = ()
    forbidden: tuple[str, ...] = ()
    offline: bool = False
    shape: Shape = Shape.TEXT


def compare(given: Input, location: Location, wanted: Wanted) -> int:
    """Tell what the change means; returns the exit code."""
    if wanted.against and wanted.revision:
        raise click.UsageError("--against and --revision both say what to compare with: give one of them")
    records = or_exit(lambda: [one for file in wanted.flows for one in _flows(file)])
    before, after = (compiled(one) for one in _both(given, location, wanted))
    if wanted.flows:
        return _replayed(replay(before, after, records), wanted)
    found = changes(before, after)
    say(told(found, wanted.shape))
    if any(FORBIDS[name](one) for name in wanted.forbidden for one in found):
        return FORBIDDEN
    return DIFFERENT if found else SAME


def _replayed(outcome: Outcome, wanted: Wanted) -> int:
    say(replayed_told(outcome, wanted.shape))
    opened = any(one.opens for one in outcome.changed)
    closed = any(not one.opens for one in outcome.changed)
    if ("opens" in wanted.forbidden and opened) or ("closes" in wanted.forbidden and closed):
        return FORBIDDEN
    return DIFFERENT if outcome.changed else SAME


def _both(given: Input, location: Location, wanted: Wanted) -> tuple[list[Resource], list[Resource]]:
    """As it is, and as it would be."""
    filed = filed_resources(given)
    if wanted.against:
        return filed_resources(msgspec.structs.replace(given, paths=wanted.against)), filed
    if wanted.revision:
        return _since(given, location, wanted, filed)
    stored = stored_resources(location)
    return stored, merged(stored, filed)


def _since(
    given: Input, location: Location, wanted: Wanted, filed: Sequence[Resource]
) -> tuple[list[Resource], list[Resource]]:
    """Files of then and of now, each with what is stored besides, such as endpoints."""
    with tempfile.TemporaryDirectory(prefix="tortie-") as folder:
        paths = or_exit(lambda: files_at(wanted.revision, given.paths, Path(folder)))
        old = filed_resources(msgspec.structs.replace(given, paths=paths, skip_empty=True))
    known = {one.key for one in (*old, *filed)}
    is_alone = wanted.offline or is_missing(location)
    stored = [] if is_alone else [one for one in stored_resources(location) if one.key not in known]
    return merged(stored, old), merged(stored, filed)


def _flows(file: Path) -> list[FlowRecord]:
    try:
        with file.open() as lines:
            return read_flows(lines, str(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise InvalidResource(Problem(str(file), "", f"cannot be read: {reason}")) from error
