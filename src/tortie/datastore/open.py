"""Opening whichever datastore a location names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.location import Location

_GRPC_VERBOSITY = "GRPC_VERBOSITY"


async def open_datastore(location: Location) -> Datastore:
    """The datastore at a path, or in etcd.

    Raises:
        InvalidResource: the settings must be corrected.
        Unavailable: a file cannot be opened. (Servers are first asked by the first call.)
    """
    if isinstance(location, Path):
        return await EmbeddedDatastore.open(location)
    # gRPC costs those who use a file a tenth of a second, so it is loaded only here.
    with _grpc_silent():
        from tortie.datastore.etcd.driver import EtcdDatastore

    return await EtcdDatastore.open(location)


@contextlib.contextmanager
def _grpc_silent() -> Iterator[None]:
    """Keep gRPC, if it is loaded now, from writing lines of its own among logs and errors, which say the same better.

    It reads the variable once, when it is loaded. Who sets it themselves gets what they ask for.
    """
    if _GRPC_VERBOSITY in os.environ:
        yield
        return
    os.environ[_GRPC_VERBOSITY] = "NONE"
    try:
        yield
    finally:
        del os.environ[_GRPC_VERBOSITY]
