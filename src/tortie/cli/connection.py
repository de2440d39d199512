"""Opening the datastore for one command, and ending with a status that says how it went."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource, NotPermitted, Problem, TortieError, Unavailable
from tortie.cli.everywhere import with_log_options
from tortie.cli.origin import origin
from tortie.cli.output import complain
from tortie.cli.personality import CONFIG, DATASTORE, LOCATION, UNAUTHORIZED, before, has_own_voice, program
from tortie.datastore.contract import Datastore
from tortie.datastore.location import CONFIG_FILE, DEFAULT_FILE, Location, find_location
from tortie.datastore.open import open_datastore
from tortie.datastore.reading import ResourceReader

if TYPE_CHECKING:
    from tortie.datastore.resources import ResourceStore

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])

OURS = "TORTIE_DATASTORE"
"""The variable that wins over all others, but over no option."""

FAILED, USAGE, UNAVAILABLE = 1, 2, 3
"""Exit codes: something was not done; the command was called wrongly; the datastore or agent does not answer."""


def with_location(function: Function) -> Callable[..., Any]:
    """Give a command `--datastore` and `--config`, which win over all variables; it gets `location`.

    It gets `-v` and `--log-level` too, for which it need do nothing.
    """

    @click.option(
        "--datastore", metavar="PLACE", help="File of the embedded datastore, or URLs of etcd, comma-separated."
    )
    @click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        help=f"Where the datastore is, as calicoctl's users write it; {CONFIG_FILE} if it exists.",
    )
    @functools.wraps(function)
    def command(*args: Any, datastore: str | None, config: Path | None, **options: Any) -> Any:
        location = or_exit(lambda: chosen_location(datastore, config))
        click.get_current_context().meta[LOCATION] = location
        return function(*args, location=location, **options)

    return with_log_options(command)


def with_store(
    location: Location, work: Callable[[ResourceStore], Awaitable[Result]], *, create: bool = False
) -> Result:
    """Run `work` on the datastore's resources; an error of ours is printed and ends the command.

    Args:
        create: make the file if there is none.
    """
    # Validation costs those who only read a tenth of their time, so it is loaded only here.
    from tortie.datastore.resources import ResourceStore
    from tortie.selector.check import selector_problem

    return with_datastore(
        location,
        lambda datastore: work(
            ResourceStore(
                datastore, SystemClock(), selector_problem, unreadable=warn_unreadable_once(), origin=origin()
            )
        ),
        create=create,
    )


def with_reader(location: Location, work: Callable[[ResourceReader], Awaitable[Result]]) -> Result:
    """Run `work` on the datastore's resources, for reading; what cannot be read is told to standard error."""

    return with_datastore(location, lambda datastore: work(ResourceReader(datastore, warn_unreadable)))


def warn_unreadable(key: ResourceKey, problem: str) -> None:
    """Say to standard error that something stored is left out."""
    complain(f"warning: {key} is stored, but cannot be read: {problem}")


def warn_unreadable_once() -> Callable[[ResourceKey, str], None]:
    """`warn_unreadable` for those who may read a thing several times."""
    told: set[ResourceKey] = set()

    def warn(key: ResourceKey, problem: str) -> None:
        if key not in told:
            told.add(key)
            warn_unreadable(key, problem)

    return warn


def with_datastore(
    location: Location, work: Callable[[Datastore], Awaitable[Result]], *, create: bool = False
) -> Result:
    """Run `work` on the datastore's keys; an error of ours is printed and ends the command."""

    missing = is_missing(location)
    if missing:
        _end_unless_makeable(location, create=create)

    async def run() -> Result:
        datastore = await open_datastore(location)
        if missing:
            complain(f"a new datastore was made: {location}")
        try:
            return await work(datastore)
        finally:
            await datastore.close()

    return or_exit(lambda: asyncio.run(run()))


def is_missing(location: Location) -> bool:
    """Whether it is a file that is not there."""
    return isinstance(location, Path) and not location.exists()


def end_without_folder(location: Location) -> None:
    """End the command when a datastore would be made in a folder that is not there: its name may be a slip."""
    if isinstance(location, Path) and location != DEFAULT_FILE and not location.parent.is_dir():
        fail(Unavailable(f"there is no folder {location.parent} for a new datastore: make it, or name another place"))


def _end_unless_makeable(location: Location, *, create: bool) -> None:
    if create:
        end_without_folder(location)
        return
    remedy = (
        f"name it with --datastore or TORTIE_DATASTORE, a file or URLs of etcd, or make one with `{program()} apply`"
    )
    fail(Unavailable(f"there is no datastore at {location}: {remedy}"))


def or_exit(work: Callable[[], Result]) -> Result:
    """Do something; an error of ours is printed and ends the command."""
    try:
        return work()
    except TortieError as error:
        fail(error)


def fail(error: TortieError) -> NoReturn:
    """Say what went wrong and what to do, and end with the status for it."""
    refused = isinstance(error, NotPermitted)
    complain(f"{UNAUTHORIZED}{error}" if refused and not has_own_voice() else str(error))
    sys.exit(UNAVAILABLE if isinstance(error, Unavailable) and not refused else FAILED)


def chosen_location(datastore: str | None, config: Path | None) -> Location:
    """Where the datastore is: as the options behind the command say, then those before it, then all else.

    Raises:
        InvalidResource: what must be corrected.
        click.UsageError: options contradict each other.
    """
    if not datastore and config is None:
        datastore, config = before(DATASTORE), before(CONFIG)
    if datastore and config is not None:
        raise click.UsageError("--datastore and --config both say where the datastore is: give one of them")
    if datastore:
        return find_location({**os.environ, OURS: datastore})
    if config is None:
        return find_location(os.environ, CONFIG_FILE)
    if not config.exists():
        raise InvalidResource(Problem(str(config), "", "there is no such file", "name calicoctl's configuration file"))
    return find_location({name: value for name, value in os.environ.items() if name != OURS}, config)
