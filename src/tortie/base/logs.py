"""Loggers of modules that short commands import too: they say nothing unless the program has asked for logs."""

from __future__ import annotations

import sys


class Logger:
    """One module's events; each is a name and fields, and goes where structlog has been told to send it.

    A program that has not configured structlog wants no logs: a command tells what matters in its own sentences.
    Importing structlog takes 50 ms, a fifth of the time in which `tortie get` has to answer.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: object) -> None:
        """Something that helps to find a fault."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something that happens in normal operation, seldom."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something an operator may have to act on."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something an operator must act on."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        structlog = sys.modules.get("structlog")
        if structlog is not None and structlog.is_configured():
            getattr(structlog.get_logger(self._name), level)(event, **fields)
