"""Running the command in this process, on a datastore of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tortie.cli.main import tortie
from tortie.datastore.embedded import EmbeddedDatastore

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("get", "nodes")` is `tortie get nodes`; `result.output` is what it printed, to both streams."""

    def invoke(*arguments: str, text: str | None = None) -> Result:
        environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
        return CliRunner().invoke(tortie, list(arguments), input=text, env=environment)

    return invoke


@pytest.fixture
def store_value(tmp_path: Path) -> StoreValue:
    """`store_value(key, data)` writes bytes where `run` reads, whatever they are."""

    async def put(key: str, data: bytes) -> None:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        await datastore.put(key, data)
        await datastore.close()

    return lambda key, data: asyncio.run(put(key, data))
