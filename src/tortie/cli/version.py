"""`tortie version`: of this program, and of the cluster."""

from __future__ import annotations

import click

from tortie import __version__
from tortie.api.clusterinformation import ClusterInformation
from tortie.cli.connection import with_location, with_store
from tortie.cli.output import say
from tortie.datastore.location import Location
from tortie.datastore.migration import INFORMATION
from tortie.datastore.resources import ResourceStore


@click.command()
@click.option("--client", is_flag=True, help="Of this program only; asks no datastore.")
@with_location
def version(client: bool, location: Location) -> None:
    """Show the version of this program, and what the cluster says of itself.

    \b
      tortie version
      tortie version --client
    """
    say(f"Client Version:    {__version__}")
    if client:
        return

    async def read(store: ResourceStore) -> ClusterInformation | None:
        found = await store.get(INFORMATION)
        return found if isinstance(found, ClusterInformation) else None

    information = with_store(location, read)
    if information is None:
        say("Cluster:           not initialized")
        return
    spec = information.spec
    say(f"Cluster Version:   {spec.calico_version or 'unknown'}")
    say(f"Cluster Type:      {spec.cluster_type or '-'}")
    say(f"Cluster Identity:  {spec.cluster_guid or '-'}")
    say(f"Datastore:         {'locked' if spec.datastore_ready is False else 'ready'}")
