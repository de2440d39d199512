"""`tortie controllers`: the loops that look after the cluster as a whole."""

from __future__ import annotations

import asyncio

import click

from tortie.cli.connection import or_exit, with_location
from tortie.controllers.addresses import INTERVAL
from tortie.controllers.judgement import GRACE
from tortie.controllers.process import METRICS_PORT, Options, run
from tortie.datastore.location import Location


@click.command("controllers")
@click.option(
    "--interval", type=click.FloatRange(1), default=INTERVAL, show_default=True, help="Seconds between checks."
)
@click.option(
    "--grace",
    type=click.FloatRange(60),
    default=GRACE,
    show_default=True,
    help="Seconds for which an address must have been without a user before it is freed.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be freed, and free nothing.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Where metrics are served.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), default=METRICS_PORT, show_default=True, help="0 serves none."
)
@with_location
def controllers(
    interval: float, grace: float, dry_run: bool, metrics_host: str, metrics_port: int, location: Location
) -> None:
    """Look after the cluster as a whole until told to end: check addresses, and free what is proven to be nobody's.

    Several may run; one leads, the others stand by. What it decides and why is logged (--log-level info).

    \b
      tortie controllers --log-level info
      tortie controllers --dry-run --metrics-host 0.0.0.0
    """
    options = Options(
        interval=interval, grace=grace, dry_run=dry_run, metrics_host=metrics_host, metrics_port=metrics_port
    )
    or_exit(lambda: asyncio.run(run(location, options)))
