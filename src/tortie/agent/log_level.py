"""The least severity that is logged; it may change while the agent runs."""

from __future__ import annotations

import logging
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_ALSO = {"warn": "warning", "exception": "error", "critical": "error", "fatal": "error"}
"""Further names of methods of loggers."""


class Threshold:
    """The first processor of every event: those of less severity end here."""

    def __init__(self, level: str) -> None:
        self._least = LEVELS[level]

    def set(self, level: str) -> None:
        """Events of at least this level pass from now on."""
        self._least = LEVELS[level]

    def __call__(self, _: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if LEVELS[_ALSO.get(method, method)] < self._least:
            raise structlog.DropEvent
        return event
