"""The process that runs the controllers: it stands by until it leads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import msgspec
from prometheus_client import start_http_server

from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource, Problem, TortieError
from tortie.base.logs import Logger
from tortie.controllers.addresses import INTERVAL, AddressController
from tortie.controllers.judgement import GRACE
from tortie.controllers.leader import Leadership
from tortie.controllers.metrics import registry
from tortie.datastore.location import Location
from tortie.datastore.open import open_datastore

METRICS_PORT = 9094

_log = Logger(__name__)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How it runs.

    Args:
        interval: seconds between two checks of addresses.
        grace: seconds for which an address must have been without a user before it is freed.
        dry_run: free nothing.
        metrics_host, metrics_port: where metrics are served; port 0 serves none.
    """

    interval: float = INTERVAL
    grace: float = GRACE
    dry_run: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: int = METRICS_PORT


async def run(location: Location, options: Options) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        InvalidResource: the metrics cannot be served there.
        TortieError: the datastore cannot be opened.
    """
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    clock = SystemClock()
    datastore = await open_datastore(location)
    leadership = Leadership(datastore, clock, f"{socket.gethostname()}.{os.getpid()}")
    addresses = AddressController(datastore, clock, lambda: leadership.is_held, options.grace, options.dry_run)
    _serve(addresses, leadership, options)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(leadership.run(), name="lead")
                tasks.create_task(_when_leading(leadership, addresses, options.interval), name="addresses")
    finally:
        with contextlib.suppress(TortieError):
            await leadership.resign()
        await datastore.close()


async def _when_leading(leadership: Leadership, addresses: AddressController, interval: float) -> None:
    """Begin as soon as this process leads, not an interval later."""
    await leadership.began.wait()
    await addresses.run(interval)


def _serve(addresses: AddressController, leadership: Leadership, options: Options) -> None:
    if not options.metrics_port:
        return
    found = registry(lambda: addresses.checked, lambda: leadership.is_held)
    try:
        start_http_server(options.metrics_port, options.metrics_host, found)
    except OSError as error:
        place = f"{options.metrics_host}:{options.metrics_port}"
        problem = f"metrics cannot be served there: {error.strerror}"
        raise InvalidResource(Problem(place, "", problem, "name another --metrics-port, or 0 for none")) from error
