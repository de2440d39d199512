"""Opening the datastore for one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import typer

from tortie.base.clock import SystemClock
from tortie.base.errors import TortieError
from tortie.cli.output import complain
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

Result = TypeVar("Result")

DEFAULT_DATASTORE = Path("/var/lib/tortie/datastore.db")


def with_store(path: Path, work: Callable[[ResourceStore], Awaitable[Result]], *, create: bool = False) -> Result:
    """Run `work` on the datastore; an error of ours is printed and ends the command with status 1.

    Args:
        create: make the datastore if there is none.
    """

    async def run() -> Result:
        datastore = await EmbeddedDatastore.open(path)
        try:
            return await work(ResourceStore(datastore, SystemClock(), selector_problem))
        finally:
            await datastore.close()

    if not create and not path.exists():
        complain(f"there is no datastore at {path}: set TORTIE_DATASTORE to its file, or make one with `tortie apply`")
        raise typer.Exit(1)
    return or_exit(lambda: asyncio.run(run()))


def or_exit(work: Callable[[], Result]) -> Result:
    """Do something; an error of ours is printed and ends the command with status 1."""
    try:
        return work()
    except TortieError as error:
        complain(str(error))
        raise typer.Exit(1) from error
