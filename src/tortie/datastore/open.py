"""Opening whichever datastore a location names."""

from __future__ import annotations

from pathlib import Path

from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.location import Location


async def open_datastore(location: Location) -> Datastore:
    """The datastore at a path, or in etcd.

    Raises:
        InvalidResource: the settings must be corrected.
        Unavailable: a file cannot be opened. (Servers are first asked by the first call.)
    """
    if isinstance(location, Path):
        return await EmbeddedDatastore.open(location)
    # gRPC costs those who use a file a tenth of a second, so it is loaded only here.
    from tortie.datastore.etcd.driver import EtcdDatastore

    return await EtcdDatastore.open(location)
