"""The tortie-agent command."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import structlog

from tortie import __version__
from tortie.agent.daemon import Agent
from tortie.agent.log_level import Threshold
from tortie.agent.options import agent_options
from tortie.agent.settings import Values, read_values
from tortie.agent.standard_error import StandardError
from tortie.agent.whereabouts import Origin
from tortie.base.errors import TortieError

NEVER = 1_000_000_000
"""Collections of what is young until one of what is old."""
SWITCH_SECONDS = 0.001
"""How long a thread that computes keeps the interpreter from the event loop, each time that the loop waited."""


@click.command()
@agent_options
@click.version_option(__version__, message="%(version)s", help="Print the version, and end.")
def main(config: Path, show_settings: bool) -> None:
    """The agent of this node. Settings come from the file and from TORTIE_... environment variables.

    What neither says comes from FelixConfigurations in the datastore; `tortie node status` tells of those.
    """
    start(config, show_settings=show_settings)


def start(config: Path, *, show_settings: bool) -> None:
    """Run the agent until it is told to end, or only print its settings; ends the process with its status."""
    try:
        local = read_values(os.environ, config.read_text() if config.exists() else "")
    except TortieError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if show_settings:
        show(local.shown)
        return
    if os.geteuid() != 0:
        print("the agent programs the kernel: run it as root", file=sys.stderr)
        sys.exit(1)
    threshold = Threshold(local.settings.log_level)
    configure_logging(threshold)
    sys.exit(asyncio.run(run(local, threshold)))


def show(origins: dict[str, Origin]) -> None:
    """Print effective settings and where each comes from."""
    for name, origin in origins.items():
        print(f"{name} = {origin.value}    # {origin.source}")


def configure_logging(threshold: Threshold) -> None:
    """One JSON object an event, to standard error."""
    structlog.configure(
        processors=[
            threshold,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: StandardError(),
        cache_logger_on_first_use=True,
    )


async def run(local: Values, threshold: Threshold) -> int:
    """Run until SIGTERM or SIGINT; what is in the kernel stays there."""
    sys.setswitchinterval(SWITCH_SECONDS)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    agent = Agent(local)
    agent.configuration.listen(lambda settings: threshold.set(settings.log_level))
    freezing = asyncio.create_task(_freeze(agent.ready))
    log = structlog.get_logger("tortie.agent")
    status = 0
    try:
        try:
            await agent.run()
        except* TortieError as failures:
            log.error("agent_failed", reasons=[str(failure) for failure in _leaves(failures)])
            status = 1
    except asyncio.CancelledError:
        log.info("agent_stopped")
    finally:
        freezing.cancel()
    return status


def _leaves(group: BaseExceptionGroup[TortieError]) -> Iterator[TortieError]:
    for failure in group.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _leaves(failure)
        else:
            yield failure


async def _freeze(ready: asyncio.Event) -> None:
    """What comes with the snapshot stays: the collector need not look at all of it again, and until then not at all."""
    usual = gc.get_threshold()
    gc.set_threshold(*usual[:2], NEVER)
    await ready.wait()
    gc.freeze()
    gc.set_threshold(*usual)
