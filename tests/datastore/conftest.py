"""The drivers that must keep the contract, and helpers that read watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore

Opener = Callable[[Path], Awaitable[Datastore]]


async def open_file(folder: Path) -> Datastore:
    return await EmbeddedDatastore.open(folder / "store.db")


async def open_memory(folder: Path) -> Datastore:
    return EmbeddedDatastore.open_memory()


DRIVERS: dict[str, Opener] = {"embedded file": open_file, "embedded memory": open_memory}


@pytest.fixture(params=DRIVERS.values(), ids=DRIVERS.keys())
async def datastore(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Datastore]:
    """An empty datastore of each driver in turn."""
    opener: Opener = request.param
    store = await opener(tmp_path)
    yield store
    await store.close()
