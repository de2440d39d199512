"""What an agent says is a line each, and nobody who cannot hear it ends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tortie.agent.standard_error import StandardError


@contextmanager
def standard_error(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(descriptor, "w", closefd=False) as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", file)
        yield


def test_lines_arrive_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with standard_error(writer, monkeypatch):
        StandardError().info("first \udc80")
        StandardError().error("second")
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read() == "first \\udc80\nsecond\n"


def test_a_full_disk_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with standard_error(full, monkeypatch):
        StandardError().warning("lost")
    os.close(full)


def test_a_listener_that_is_gone_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with standard_error(writer, monkeypatch):
        StandardError().warning("lost")
    os.close(writer)
