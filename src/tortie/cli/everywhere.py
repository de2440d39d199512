"""Options that stand before the word as well as behind it: where the datastore is, and what is told beside results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tortie.cli.personality import CONFIG, DATASTORE, NAMESPACE

Function = TypeVar("Function", bound=Callable[..., Any])

_SAME = "The same as behind the command."

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""What `--log-level` takes, and the number by which loggers know it."""


def location_options() -> list[click.Parameter]:
    """`--datastore` and `--config`, kept for the command behind them."""
    return [
        click.Option(["--datastore"], metavar="PLACE", callback=_kept(DATASTORE), expose_value=False, help=_SAME),
        click.Option(
            ["-c", "--config"],
            type=click.Path(path_type=Path),
            callback=_kept(CONFIG),
            expose_value=False,
            help=_SAME,
        ),
    ]


def before_options() -> list[click.Parameter]:
    """All that `tortie` takes before the word."""
    namespace = click.Option(["-n", "--namespace"], callback=_kept(NAMESPACE), expose_value=False, help=_SAME)
    return [*location_options(), namespace, *log_options()]


def log_options() -> list[click.Option]:
    """`-v` and `--log-level`."""
    return [click.Option(names, **settings) for names, settings in _logs()]


def with_log_options(function: Function) -> Function:
    """Give a command `-v` and `--log-level`, for which it need do nothing."""
    for names, settings in reversed(_logs()):
        function = click.option(*names, **settings)(function)
    return function


def _logs() -> list[tuple[list[str], dict[str, Any]]]:
    """Spellings and settings of each option."""
    verbose = {
        "is_flag": True,
        "callback": lambda context, parameter, value: show_logs("info") if value else None,
        "help": "Logs on standard error too, as with --log-level info.",
    }
    level = {
        "type": click.Choice(list(LEVELS), case_sensitive=False),
        "callback": lambda context, parameter, value: show_logs(value) if value else None,
        "help": "Logs on standard error too, of this level and above.",
    }
    hidden: dict[str, Any] = {"expose_value": False}
    return [(["-v", "--verbose"], verbose | hidden), (["--log-level"], level | hidden)]


def show_logs(level: str) -> None:
    """Write logs to standard error: a line an event, `key=value` each."""
    import structlog  # takes long to load, and few ask

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _kept(key: str) -> Callable[..., None]:
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            context.meta[key] = value

    return keep
