"""A whole cluster for looking at: what the datastore holds, with what files say in its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from tortie.analysis.cluster import KINDS, Cluster, compile_cluster
from tortie.api.codec import decode_value
from tortie.api.ipam import IPAMBlock
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource
from tortie.cli.connection import FAILED, is_missing, or_exit, with_datastore, with_reader
from tortie.cli.inputs import Input
from tortie.cli.output import complain
from tortie.datastore.contract import Datastore, KeyValue
from tortie.datastore.keys import BLOCK_PREFIX
from tortie.datastore.location import Location
from tortie.datastore.reading import ResourceReader

offline_option = click.option(
    "--offline", is_flag=True, help="The files are all there is; no datastore is asked for the rest."
)


def stored_resources(location: Location, besides: frozenset[str] = frozenset()) -> list[Resource]:
    """Everything in the datastore that policy depends on, and other kinds. Ends the command when it cannot be read."""

    async def work(reader: ResourceReader) -> list[Resource]:
        return [one for kind in sorted(KINDS | besides) for one in await reader.list(kind)]

    return with_reader(location, work)


def stored_blocks(location: Location) -> list[IPAMBlock]:
    """The blocks of addresses that can be read. Ends the command when the datastore cannot."""

    async def work(datastore: Datastore) -> list[IPAMBlock]:
        found = (_block(item) for item in (await datastore.list(BLOCK_PREFIX)).items)
        return [one for one in found if one is not None]

    return with_datastore(location, work)


def _block(item: KeyValue) -> IPAMBlock | None:
    try:
        return decode_value(IPAMBlock, item.value)
    except InvalidResource as error:
        complain(f"warning: {item.key} is left out: {error}")
        return None


def filed_resources(given: Input) -> list[Resource]:
    """What files hold, complete and valid. Ends the command when something is wrong."""
    if not given.paths:
        return []
    from tortie.cli.apply import read_or_exit
    from tortie.cli.report import Showing

    manifests = read_or_exit(Showing("look at", "name"), given)
    if manifests.problems:
        raise SystemExit(FAILED)
    return list(manifests.resources)


def merged(stored: Iterable[Resource], filed: Iterable[Resource]) -> list[Resource]:
    """Resources, with some put in the place of those of their names."""
    found: dict[Any, Resource] = {one.key: one for one in stored}
    found |= {one.key: one for one in filed}
    return list(found.values())


def snapshot(
    location: Location, given: Input, *, offline: bool, besides: frozenset[str] = frozenset()
) -> list[Resource]:
    """The cluster as it would be with the files applied; without a datastore, if so wanted, the files alone."""
    filed = filed_resources(given)
    if offline or (filed and is_missing(location)):
        return filed
    return merged(stored_resources(location, besides), filed)


def compiled(resources: Iterable[Resource]) -> Cluster:
    """The cluster in the compiled form; what cannot be read is told."""
    cluster = or_exit(lambda: compile_cluster(resources))
    for key, problem in cluster.problems.items():
        complain(f"warning: {key} is left out: {problem}")
    return cluster
