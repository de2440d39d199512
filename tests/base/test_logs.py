"""Loggers that load structlog late."""

from __future__ import annotations

import subprocess
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from tortie.base.logs import Logger


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_an_event_reaches_structlog_with_its_level_and_fields(level: str) -> None:
    with capture_logs() as logged:
        getattr(Logger("room"), level)("something_happened", key="/a")
    assert logged == [{"event": "something_happened", "key": "/a", "log_level": level}]


def test_a_program_that_has_not_asked_for_logs_gets_none(capfd: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    Logger("room").error("something_happened", key="/a")
    assert capfd.readouterr() == ("", "")


def test_who_logs_nothing_does_not_load_structlog() -> None:
    program = "import sys, tortie.datastore.resources, tortie.ipam.allocator; sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
