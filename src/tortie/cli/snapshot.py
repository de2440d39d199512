"""A whole cluster for looking at: what the datastore holds, with what files say in its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from tortie.analysis.cluster import KINDS, Cluster, compile_cluster
from tortie.api.resource import Resource
from tortie.cli.connection import is_missing, or_exit, with_reader
from tortie.cli.inputs import Input
from tortie.cli.output import complain
from tortie.datastore.location import Location
from tortie.datastore.reading import ResourceReader

offline_option = click.option(
    "--offline", is_flag=True, help="The files are all there is; no datastore is asked for the rest."
)


def stored_resources(location: Location) -> list[Resource]:
    """Everything in the datastore that policy depends on, and pools. Ends the command when it cannot be read."""

    async def work(reader: ResourceReader) -> list[Resource]:
        return [one for kind in sorted(KINDS | {"IPPool"}) for one in await reader.list(kind)]

    return with_reader(location, work)


def filed_resources(given: Input) -> list[Resource]:
    """What files hold, complete and valid. Ends the command when something is wrong."""
    if not given.paths:
        return []
    from tortie.cli.apply import read_or_exit
    from tortie.cli.report import Showing

    manifests = read_or_exit(Showing("validate", "name"), given)
    if manifests.problems:
        for problem in manifests.problems:
            complain(str(problem))
        raise SystemExit(1)
    return list(manifests.resources)


def merged(stored: Iterable[Resource], filed: Iterable[Resource]) -> list[Resource]:
    """Resources, with some put in the place of those of their names."""
    found: dict[Any, Resource] = {one.key: one for one in stored}
    found |= {one.key: one for one in filed}
    return list(found.values())


def snapshot(location: Location, given: Input, *, offline: bool) -> list[Resource]:
    """The cluster as it would be with the files applied; without a datastore, if so wanted, the files alone."""
    filed = filed_resources(given)
    if offline or (filed and is_missing(location)):
        return filed
    return merged(stored_resources(location), filed)


def compiled(resources: Iterable[Resource]) -> Cluster:
    """The cluster in the compiled form; what cannot be read is told."""
    cluster = or_exit(lambda: compile_cluster(resources))
    for key, problem in cluster.problems.items():
        complain(f"warning: {key} is left out: {problem}")
    return cluster
