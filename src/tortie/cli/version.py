"""`tortie version`: of this program, and of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import click

from tortie import __version__
from tortie.api.clusterinformation import ClusterInformation
from tortie.api.durations import SECOND, nanoseconds
from tortie.base.clock import Clock, SystemClock
from tortie.base.errors import TortieError
from tortie.cli.connection import with_location, with_store
from tortie.cli.output import complain, say, say_now
from tortie.datastore.location import Location
from tortie.datastore.reading import INFORMATION
from tortie.datastore.resources import ResourceStore


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    duration = nanoseconds(text)
    if duration is None:
        raise click.BadParameter(f"{text!r} is not a duration, such as 30s or 1m")
    return duration / SECOND


@click.command()
@click.option("--client", is_flag=True, help="Of this program only; asks no datastore.")
@click.option(
    "--poll",
    metavar="DURATION",
    default="0",
    callback=_seconds,
    help="Ask the cluster again this often, such as 1m, and show what has changed, until interrupted.",
)
@with_location
def version(client: bool, poll: float, location: Location) -> None:
    """Show the version of this program, and what the cluster says of itself.

    \b
      tortie version
      tortie version --client
      tortie version --poll 1m
    """
    say(f"Client Version:    {__version__}")
    if client:
        return
    if poll:
        with_store(location, lambda store: follow(store, poll, SystemClock()))
    for line in with_store(location, _told):
        say(line)


async def follow(store: ResourceStore, seconds: float, clock: Clock) -> NoReturn:
    """Show what the cluster says of itself, and each line again when it has changed or the datastore is back."""
    shown: Sequence[str] = ()
    while True:
        try:
            lines = await _told(store)
        except TortieError as error:
            complain(str(error))
            lines = ()
        for line in lines:
            if line not in shown:
                say_now(line)
        shown = lines
        await clock.sleep(seconds)


async def _told(store: ResourceStore) -> Sequence[str]:
    information = await store.get(INFORMATION)
    if not isinstance(information, ClusterInformation):
        return ("Cluster:           not initialized",)
    spec = information.spec
    return (
        f"Cluster Version:   {spec.calico_version or 'unknown'}",
        f"Cluster Type:      {spec.cluster_type or '-'}",
        f"Cluster Identity:  {spec.cluster_guid or '-'}",
        f"Datastore:         {'locked' if spec.datastore_ready is False else 'ready'}",
    )
